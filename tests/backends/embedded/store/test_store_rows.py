"""How records become rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smclient_embedded.store.sql_rows import document_text

texts = st.text(st.characters(exclude_categories=()))
documents: st.SearchStrategy[Any] = st.dictionaries(
    texts,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | texts,
        lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
        max_leaves=8,
    ),
)


@given(documents)
def test_any_document_is_read_back_as_it_was(document: dict[str, Any]) -> None:
    text = document_text(document)

    text.encode()  # or the database would refuse it
    assert json.loads(text) == document


def test_half_a_surrogate_is_kept() -> None:
    assert json.loads(document_text({"said": "\ud800"})) == {"said": "\ud800"}


def test_a_number_of_more_than_64_bits_is_kept() -> None:
    assert json.loads(document_text({"n": 2**70})) == {"n": 2**70}


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        document_text({"at": datetime(2026, 1, 1, tzinfo=UTC)})
