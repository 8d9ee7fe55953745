"""R69: every message is a sentence that somebody who has just been woken up understands, and its page is true."""

from __future__ import annotations

from fsm.config import alert_kinds
from fsm.live.operator.wording import CAUSES, because
from tests.messages import CODE_WORD, PAGE, examples, page


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python -m tests.messages`"


def test_every_kind_has_an_example() -> None:
    assert {kind for kind, _, _ in examples()} == set(alert_kinds())


def test_every_message_is_a_whole_sentence_without_words_of_the_machine() -> None:
    """`LIMIT_DAY was hit: no entries` named no amount, no limit and no time."""
    for kind, when, text in examples():
        assert text.endswith("."), (kind, when, text)
        assert not CODE_WORD.search(text.replace("TG_CHAT_ID", "")), (kind, when, text)
        assert ".." not in text, text
        assert "  " not in text, text


def test_reasons_are_told_in_words_also_where_nobody_has_thought_of_them() -> None:
    assert because("STOP_REFUSED -4509") == "the exchange refused its stop (error -4509)"
    assert because("SOMETHING_NEW 7") == "something new 7"
    assert because("QUARANTINE EXTERNAL_CLOSE") == because("EXTERNAL_CLOSE")
    for name in CAUSES:
        assert not CODE_WORD.search(because(name)), name
