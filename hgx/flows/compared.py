"""What comparing two plans has in common, whatever sets them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hgx.core.compared import Ratio, Run, Summary

if TYPE_CHECKING:
    from hgx.core.plan import Plan


def summarise(plan: Plan) -> Summary:
    """Take from a plan what others are held against."""
    return Summary(
        ctx=plan.ctx,
        status=plan.status,
        gap=plan.bound.gap if plan.bound else None,
        predicted=plan.predicted,
        coordinator=plan.host.node if plan.host else None,
        stages={
            stage.device: Run(
                first_block=stage.first_block,
                last_block=stage.last_block,
                output_head=stage.output_head,
                experts_away=stage.experts_away,
                memory_bytes=stage.memory.total_bytes,
                seconds_per_token=stage.seconds_per_token,
            )
            for stage in plan.stages
        },
    )


def ratio_of(before: Summary, after: Summary) -> Ratio | None:
    """Divide what one plan promises by what another does; null where one promises nothing."""
    old, new = before.predicted, after.predicted
    if old is None or new is None or not (old.ttft_s and old.tpot_s and old.tokens_per_s):
        return None
    return Ratio(
        ttft=new.ttft_s / old.ttft_s,
        tpot=new.tpot_s / old.tpot_s,
        tokens_per_s=new.tokens_per_s / old.tokens_per_s,
    )
