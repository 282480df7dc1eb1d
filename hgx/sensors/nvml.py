"""NVIDIA cards through NVML: what each one is, how it fares, and what it could do at best.

``read_cards`` and ``NvmlSession`` call the library in this process; ``hgx.sensors.nvml_probe``
does so in another one, which is what everything that must not hang or crash should use.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, Self, cast

from hgx.errors import Unavailable
from hgx.process.child import answers_to_parent
from hgx.sensors.card import Card, Survey, reading_of, survey_to_json
from hgx.sensors.nvml_card import Facts, Questions, read_card, read_facts, read_uuid

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

__all__ = ["Card", "Nvml", "NvmlSession", "Survey", "read_cards", "reading_of"]

_NO_DRIVER = 12  # NVML_ERROR_LIBRARY_NOT_FOUND
_START_FAILURES = {
    9: ("the NVIDIA driver is not loaded", "load it, or restart the machine"),
    _NO_DRIVER: ("no NVIDIA driver found", "install it if this machine has an NVIDIA card"),
    18: ("the NVIDIA driver and its library differ in version", "restart the machine"),
}


class Nvml(Protocol):
    """What must exist in every version of the library; all else is asked for by name."""

    @property
    def NVMLError(self) -> type[Exception]:  # noqa: N802 - the library's name
        """The root of its errors; they carry the code as ``value``."""
        ...

    def nvmlInit(self) -> object:  # noqa: N802 - the library's name
        """Load the library and talk to the driver."""
        ...

    def nvmlShutdown(self) -> object:  # noqa: N802 - the library's name
        """Let go of the driver."""
        ...

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802 - the library's name
        """Count the cards."""
        ...

    def nvmlDeviceGetHandleByIndex(self, index: int, /) -> object:  # noqa: N802 - the library's name
        """Open a card."""
        ...


class NvmlSession:
    """NVML held open, so that reading each second does not start and stop it each second.

    It opens at the first reading and again after it failed. Without a library it does not look
    for one again: a driver that is installed meanwhile is found by the next session.

    Args:
        nvml: The library; ``pynvml`` when absent.
    """

    def __init__(self, nvml: Nvml | None = None) -> None:
        self._nvml = nvml or cast("Nvml", import_module("pynvml"))
        self._open = False
        self._hopeless: Survey | None = None
        self._facts: dict[str, Facts] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the driver; harmless when done already."""
        if self._open:
            self._open = False
            self._nvml.nvmlShutdown()

    def read(self) -> Survey:
        """Read all cards.

        Returns:
            No cards and the reason where there is no library, no driver or no card.
        """
        if self._hopeless:
            return self._hopeless
        try:
            if not self._open:
                self._nvml.nvmlInit()
                self._open = True
        except self._nvml.NVMLError as error:
            survey = Survey(missing=(_start_failure(error),))
            if getattr(error, "value", None) == _NO_DRIVER:
                self._hopeless = survey
            return survey
        try:
            return self._read_all()
        except self._nvml.NVMLError as error:
            self.close()
            remedy = "run nvidia-smi to see why"
            return Survey(missing=(Unavailable(f"NVML failed: {error}", remedy),), sure=False)

    def _read_all(self) -> Survey:
        cards: list[Card] = []
        missing: list[Unavailable] = []
        sure = True
        for index in range(self._nvml.nvmlDeviceGetCount()):
            try:
                cards.append(self._read_card(index))
            except self._nvml.NVMLError as error:
                reason = f"NVIDIA card {index} does not answer: {error}"
                missing.append(Unavailable(reason, "run nvidia-smi, or restart the machine"))
                sure = False
        if not cards and not missing:
            remedy = "check that it is seated, powered and passed on to this machine"
            missing.append(Unavailable("the NVIDIA driver sees no card", remedy))
        return Survey(tuple(cards), tuple(missing), sure)

    def _read_card(self, index: int) -> Card:
        handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
        card = Questions(self._nvml, self._nvml.NVMLError, handle)
        uuid = read_uuid(card)
        # Another card may have taken a number; one without identity is asked each time.
        facts = self._facts.get(uuid) if uuid else None
        if facts is None:
            facts = read_facts(card)
            if uuid:
                self._facts[uuid] = facts
        return read_card(card, index, uuid, facts)


def read_cards(nvml: Nvml | None = None) -> Survey:
    """Read all cards once, in this process.

    Args:
        nvml: The library; ``pynvml`` when absent.

    Returns:
        No cards and the reason where there is no library, no driver or no card.
    """
    with NvmlSession(nvml) as session:
        return session.read()


def _start_failure(error: Exception) -> Unavailable:
    code = getattr(error, "value", None)
    unknown = (f"NVML did not start: {error}", "run nvidia-smi to see why")
    return Unavailable(*_START_FAILURES.get(code, unknown) if isinstance(code, int) else unknown)


def print_survey(answers: TextIO) -> None:
    """Write the survey as one line of JSON, for ``hgx.sensors.nvml_probe``.

    Args:
        answers: Where to.
    """
    answers.write(json.dumps(survey_to_json(read_cards())) + "\n")
    answers.flush()


if __name__ == "__main__":
    print_survey(answers_to_parent())
