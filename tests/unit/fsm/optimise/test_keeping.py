"""What a study is called, and where it lies."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm.optimise.keeping import study_name, study_path
from fsm.optimise.parameters import SearchError


@pytest.mark.parametrize(
    ("given", "path", "name"),
    [
        ("trend", "var/studies/trend.sqlite", "trend"),
        ("trend-1.2", "var/studies/trend-1.2.sqlite", "trend-1.2"),
        ("trend.sqlite", "trend.sqlite", "trend"),
        ("mine/trend.db", "mine/trend.db", "trend"),
        ("./trend", "trend", "trend"),
    ],
)
def test_a_name_lies_among_the_studies_and_a_path_where_it_says(given: str, path: str, name: str) -> None:
    assert study_path(given) == Path(path)
    assert study_name(study_path(given)) == name


def test_a_folder_and_what_is_no_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="is a folder"):
        study_path(str(tmp_path))
    with pytest.raises(SearchError, match="no name of a study"):
        study_path("my trend")
