"""ONNX models of one operation each, as ONNX Runtime reads them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Shape = Sequence[int | str]

_OPSET = 13  # old enough for every DirectML
_IR_VERSION = 8  # of the file; older runtimes refuse newer ones


@cache
def copying() -> bytes:
    """Copy bytes ``x`` to ``y``, however many."""
    return _model("Identity", "UINT8", {"x": ["count"]}, ["count"])


@cache
def summing(rows: int, width: int) -> bytes:
    """Add up each row of a float32 matrix ``x`` to ``y``."""
    return _model("ReduceSum", "FLOAT", {"x": [rows, width]}, [rows, 1], axes=[1])


@cache
def multiplying(dtype: str, side: int) -> bytes:
    """Multiply square matrices ``a`` and ``b`` to ``y``; ``dtype`` is float32 or float16."""
    kind = {"float32": "FLOAT", "float16": "FLOAT16"}[dtype]
    return _model("MatMul", kind, {"a": [side, side], "b": [side, side]}, [side, side])


def _model(
    operation: str,
    dtype: str,
    inputs: Mapping[str, Shape],
    output: Shape,
    axes: Sequence[int] = (),
) -> bytes:
    onnx: Any = import_module("onnx")
    make, kind = onnx.helper, getattr(onnx.TensorProto, dtype)
    constants = {"axes": axes} if axes else {}
    graph = make.make_graph(
        [make.make_node(operation, [*inputs, *constants], ["y"])],
        operation,
        [make.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [make.make_tensor_value_info("y", kind, output)],
        [
            make.make_tensor(name, onnx.TensorProto.INT64, [len(values)], values)
            for name, values in constants.items()
        ],
    )
    operations = [make.make_opsetid("", _OPSET)]
    model = make.make_model(graph, opset_imports=operations, ir_version=_IR_VERSION)
    return model.SerializeToString()
