"""Tiny .tflite models, read with the schema's own reader and run by a real interpreter."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from hgx.drivers import _flatmodel

SCHEMA: Any = import_module("ai_edge_litert.schema_py_generated")
INTERPRETER: Any = import_module("ai_edge_litert.interpreter")


@pytest.mark.parametrize(
    ("content", "operation", "options", "shapes"),
    [
        (_flatmodel.holder(3), "RELU", "NONE", [[3, 1024], [3, 1024]]),
        (
            _flatmodel.product(2, 3, 4),
            "BATCH_MATMUL",
            "BatchMatMulOptions",
            [[2, 3], [3, 4], [2, 4]],
        ),
    ],
)
def test_a_model_is_what_the_schema_says(
    content: bytes, operation: str, options: str, shapes: list[list[int]]
) -> None:
    """A model has one operation on tensors of float32, all of which are given but the last."""
    assert SCHEMA.Model.ModelBufferHasIdentifier(content, 0)
    model = SCHEMA.ModelT.InitFromPackedBuf(content)
    assert model.version == 3
    (code,) = model.operatorCodes
    assert code.builtinCode == code.deprecatedBuiltinCode
    assert code.builtinCode == getattr(SCHEMA.BuiltinOperator, operation)
    (graph,) = model.subgraphs
    assert [list(tensor.shape) for tensor in graph.tensors] == shapes
    assert all(tensor.type == SCHEMA.TensorType.FLOAT32 for tensor in graph.tensors)
    assert len({tensor.name for tensor in graph.tensors}) == len(shapes)
    assert list(graph.inputs) == list(range(len(shapes) - 1))
    assert list(graph.outputs) == [len(shapes) - 1]
    (operator,) = graph.operators
    assert list(operator.inputs) == list(graph.inputs)
    assert list(operator.outputs) == list(graph.outputs)
    assert operator.builtinOptionsType == getattr(SCHEMA.BuiltinOptions, options)
    (nothing,) = model.buffers
    assert nothing.data is None


def test_a_model_can_be_run() -> None:
    """The interpreter, which is another way to LiteRT than the driver's, computes the product."""
    interpreter = INTERPRETER.Interpreter(model_content=_flatmodel.product(2, 3, 4))
    interpreter.allocate_tensors()
    left, right = np.arange(6, dtype="f4").reshape(2, 3), np.arange(12, dtype="f4").reshape(3, 4)
    interpreter.set_tensor(0, left)
    interpreter.set_tensor(1, right)
    interpreter.invoke()
    assert np.array_equal(interpreter.get_tensor(2), left @ right)
