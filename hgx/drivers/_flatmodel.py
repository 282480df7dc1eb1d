"""Tiny .tflite models, each with a single operation; ``hgx.drivers.tflite`` runs them.

A model is a FlatBuffer of TensorFlow Lite's schema.fbs, version 3. The numbers of its fields and
operations below are that schema's, and never change.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_SCHEMA_VERSION = 3


class _Operation(NamedTuple):
    code: int  # BuiltinOperator
    options: int = 0  # BuiltinOptions: the table that holds its options, left at their defaults


_RELU = _Operation(19)
_BATCH_MATMUL = _Operation(126, 101)


HOLDER_ROW_BYTES = 4096
"""What a row of ``holder`` takes. A device may be unable to have a single row of any length."""


def holder(rows: int) -> bytes:
    """Build a model that takes rows of bytes; it is there to have its input allocated."""
    shape = (rows, HOLDER_ROW_BYTES // 4)
    return _model(_RELU, (shape, shape))


def product(rows: int, inner: int, columns: int) -> bytes:
    """Build a model that multiplies a rows x inner and an inner x columns matrix, both inputs."""
    return _model(_BATCH_MATMUL, ((rows, inner), (inner, columns), (rows, columns)))


def _model(operation: _Operation, shapes: Sequence[tuple[int, ...]]) -> bytes:
    """Write the model of an operation on float32: the last shape is its output's."""
    write = _Writer()
    *inputs, output = range(len(shapes))
    graph = write.table(
        write.tables([write.tensor(f"t{index}", shape) for index, shape in enumerate(shapes)]),
        write.integers(inputs),
        write.integers([output]),
        write.tables([write.operator(operation, inputs, output)]),
    )
    # Readers older than the long form of the code take the short one.
    code = write.table(("Int8", operation.code), None, ("Int32", 1), ("Int32", operation.code))
    nothing = write.table()  # the content of tensors that are no constants
    model = write.table(
        ("Uint32", _SCHEMA_VERSION),
        write.tables([code]),
        write.tables([graph]),
        None,
        write.tables([nothing]),
    )
    return write.finish(model)


_Field = tuple[str, int]
"""The kind of a table's field, as FlatBuffers' builder names it, and its value or place."""


class _Writer:
    """FlatBuffers' builder, in terms of whole tables: what they refer to is written before them."""

    def __init__(self) -> None:
        self._builder: Any = import_module("flatbuffers").Builder(1024)

    def table(self, *fields: _Field | None) -> _Field:
        """Write a table, its fields in the schema's order; None leaves one out."""
        self._builder.StartObject(len(fields))
        for slot, field in enumerate(fields):
            if field is not None:
                kind, value = field
                getattr(self._builder, f"Prepend{kind}Slot")(slot, value, 0)
        return self._reference(self._builder.EndObject())

    def tables(self, tables: Sequence[_Field]) -> _Field:
        """Write a vector of tables."""
        return self._vector("UOffsetTRelative", [place for _, place in tables])

    def integers(self, values: Sequence[int]) -> _Field:
        """Write a vector of int32."""
        return self._vector("Int32", values)

    def tensor(self, name: str, shape: Sequence[int]) -> _Field:
        """Write a tensor of float32, without content."""
        return self.table(
            self.integers(shape), None, None, self._reference(self._builder.CreateString(name))
        )

    def operator(self, operation: _Operation, inputs: Sequence[int], output: int) -> _Field:
        """Write the use of an operation."""
        options = (("Uint8", operation.options), self.table()) if operation.options else ()
        return self.table(None, self.integers(inputs), self.integers([output]), *options)

    def finish(self, model: _Field) -> bytes:
        """Return all that was written."""
        self._builder.Finish(model[1], file_identifier=b"TFL3")
        return bytes(self._builder.Output())

    def _vector(self, kind: str, values: Sequence[int]) -> _Field:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):  # the builder writes from the end to the beginning
            getattr(self._builder, f"Prepend{kind}")(value)
        return self._reference(self._builder.EndVector())

    def _reference(self, place: int) -> _Field:
        return "UOffsetTRelative", place
