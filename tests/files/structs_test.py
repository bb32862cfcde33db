import json
import math
from typing import Annotated, Literal

import msgspec
import pytest

from fl_jax.files import structs

Count = Annotated[int, msgspec.Meta(ge=0)]


class Row(msgspec.Struct, frozen=True):
    count: Count
    loss: float | None = None


class File(msgspec.Struct, frozen=True):
    rows: dict[str, list[Row]]
    by_label: dict[Literal["any", "subdural"], Count] = {}


def read(tmp_path, value):
    path = tmp_path / "a.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return structs.read_struct(path, File, remedy="train again")


def test_a_file_that_does_not_exist_is_none(tmp_path):
    assert structs.read_struct(tmp_path / "a.json", File) is None


def test_values_are_typed_and_not_a_number_stays(tmp_path):
    value = read(tmp_path, {"rows": {"a": [{"count": 1, "loss": math.nan}]}, "other": [1]})
    assert value is not None
    assert value.rows["a"][0].count == 1
    assert math.isnan(value.rows["a"][0].loss or 0)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"rows": {"a": [], "b": [{"count": 1}, {"count": -3}], "c": [{}]}}, r"rows\.b\[1\]\.count is -3: "),
        ({"rows": {"a": [{}]}}, r"rows\.a\[0\] is \{\}: .*missing required field `count`"),
        ({"rows": {"a": [{"count": True}]}}, r"rows\.a\[0\]\.count is True: Expected `int`"),
        ({"rows": {"a": [{"count": 1, "loss": "x"}]}}, r"rows\.a\[0\]\.loss is 'x': "),
        ({"rows": {}, "by_label": {"../x": 1}}, r"by_label is \{'\.\./x': 1\}: Invalid enum value '\.\./x'"),
        ([1], r"it is \[1\]: Expected `object`, got `array`"),
        ('{"rows": ', "Expecting value"),
        ("[" * 40 + "]" * 40, "nested more than 32"),
        ("[" * 3000, "recursion|Expecting"),
        ({"rows": {}, "other": 2**70}, "number beyond"),
        ("\ufeff{}", "BOM"),
    ],
)  # fmt: skip
def test_an_error_names_file_place_value_and_remedy(tmp_path, value, words):
    with pytest.raises(
        ValueError, match=rf"^{tmp_path}/a\.json: (?s:.*)({words})(?s:.*); train again$"
    ):
        read(tmp_path, value)


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(2**30)
    words = (
        rf"^{tmp_path}/a\.json: has {2**30} bytes or more, at most {2**26} are read; train again$"
    )
    with pytest.raises(ValueError, match=words):
        structs.read_struct(tmp_path / "a.json", File, remedy="train again")
