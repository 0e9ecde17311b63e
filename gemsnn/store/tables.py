"""Tables of rows that are written in parts, by several processes and at several times, and joined in the end.

A part is a file's content; parts are joined one after the other, so that one of them is in memory at a time. Of a CSV
file the parts are its lines without the heading; of a Parquet file they are such files themselves, and the whole has a
group of rows for each.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, NamedTuple, Protocol

from gemsnn.errors import InputError
from gemsnn.types import AnyPath

if TYPE_CHECKING:
    import pyarrow

Row = dict[str, Any]
Kind = Literal["text", "texts", "number", "whole"]
"""What a column holds: texts, several each, numbers in double precision, or whole ones. Any may be missing."""


class Tally(NamedTuple):
    """How many rows there are, how many of them hold an error, and the first of these."""

    rows: int = 0
    failed: int = 0
    first: str = ""

    def and_then(self, other: Tally) -> Tally:
        """With those that follow."""
        return Tally(self.rows + other.rows, self.failed + other.failed, self.first or other.first)

    @staticmethod
    def of(errors: Iterable[str | None]) -> Tally:
        """Of what rows say in their column ``error``."""
        each = list(errors)
        failed = [error for error in each if error]
        return Tally(len(each), len(failed), failed[0] if failed else "")


class Table(Protocol):
    """A kind of file that such a table is written to."""

    suffix: str

    def part(self, rows: Sequence[Row]) -> bytes:
        """The content of a part."""
        ...

    def join(self, parts: Iterable[AnyPath], out: BinaryIO) -> Tally:
        """Write the whole.

        Raises:
            InputError: a part is damaged.
        """
        ...


def table_for(path: AnyPath, columns: Mapping[str, Kind]) -> Table:
    """The kind of table that a file's name asks for: Parquet where it ends so, else CSV.

    Raises:
        InputError: pyarrow is missing, which writes Parquet.
    """
    return Parquet(columns) if Path(path).suffix.lower() == Parquet.suffix else CSV(columns)


class CSV:
    """A text with a line for each row; texts of one cell are joined by ``|``, and what is missing is empty."""

    suffix = ".csv"

    def __init__(self, columns: Mapping[str, Kind]) -> None:
        self._columns = tuple(columns)

    @property
    def heading(self) -> bytes:
        """The first line."""
        return self._lines([dict(zip(self._columns, self._columns, strict=True))])

    def part(self, rows: Sequence[Row]) -> bytes:
        """The lines of some rows."""
        return self._lines(rows)

    def _lines(self, rows: Sequence[Row]) -> bytes:
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, self._columns)
        for row in rows:
            table.writerow(
                {key: "|".join(value) if isinstance(value, tuple) else value for key, value in row.items()}
            )
        return text.getvalue().encode("utf-8", "backslashreplace")

    def tally(self, content: bytes) -> Tally:
        """What a part holds."""
        lines = csv.DictReader(io.StringIO(content.decode(), newline=""), self._columns)
        return Tally.of(line["error"] for line in lines)

    def join(self, parts: Iterable[AnyPath], out: BinaryIO) -> Tally:
        """The heading and the lines of all."""
        out.write(self.heading)
        found = Tally()
        for part in parts:
            content = Path(part).read_bytes()
            out.write(content)
            found = found.and_then(self.tally(content))
        return found


class Parquet:
    """A file of Apache Parquet with a group of rows for each part; what is missing is null."""

    suffix = ".parquet"

    def __init__(self, columns: Mapping[str, Kind]) -> None:
        arrow = _arrow()
        kinds = {
            "text": arrow.string(),
            "texts": arrow.list_(arrow.string()),
            "number": arrow.float64(),
            "whole": arrow.int64(),
        }
        self._columns = {name: kinds[kind] for name, kind in columns.items()}

    @property
    def _schema(self) -> pyarrow.Schema:
        return _arrow().schema(list(self._columns.items()))

    def part(self, rows: Sequence[Row]) -> bytes:
        """A file of some rows."""
        import pyarrow.parquet

        values = [{key: _unicode(value) for key, value in row.items()} for row in rows]
        content = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(values, self._schema), content)
        return content.getvalue()

    def join(self, parts: Iterable[AnyPath], out: BinaryIO) -> Tally:
        """All rows."""
        import pyarrow.parquet

        found = Tally()
        with pyarrow.parquet.ParquetWriter(out, self._schema) as writer:
            for part in parts:
                try:
                    table = pyarrow.parquet.read_table(io.BytesIO(Path(part).read_bytes()))
                except pyarrow.ArrowException as error:
                    raise InputError(
                        f"{part} is damaged ({error}); remove it, and what it holds is answered again"
                    ) from None
                writer.write_table(table)
                found = found.and_then(Tally.of(table["error"].to_pylist()))
        return found


def _unicode(value: Any) -> Any:
    """Paths that are no UTF-8 hold letters that no file can; they are written as in CSV."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise InputError(
            "answers as Parquet are written by the library pyarrow; install it with pip install 'gemsnn[parquet]', "
            "or give an --out that ends with .csv"
        ) from None
    return pyarrow
