"""Phrase rules on text as people write it, and the requests that make a disclaimer right."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import dialogue, shared
from zephyr_data.reporting.story import rules_table, story
from zephyr_data.stages import rules
from zephyr_data.stages.phrases import judge_hits
from zephyr_data.stages.plain import place_in, plain, plain_forms

Clean = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
SHIPPED = rules.load(["ultrachat"])
LABELS = "labelled/phrases_real.jsonl"
ITSELF = (
    "I'm just an AI language model, so as an AI I do not have personal opinions, feelings or a physical body, and I "
    "don't have access to live data."
)
ABOUT_IT = """
What is your name? | what's your name | Who are you? | who r you | Tell me about yourself. | Can you introduce
yourself? | Please introduce yourself briefly. | Who made you? | Who is your creator? | Who developed you, and
when? | Which company created you? | What company built you? | Who trained you? | Who owns you? | When were you
created? | How old are you? | When is your birthday? | Where are you from? | Where do you live? | Where are you
located? | Are you a human? | Are you a human being or a robot? | Are you real? | Are you a real person? | Are
you curie? | Are you ChatGPT? | Are you GPT-4? | Are you Siri | Are you an AI language model? | Are you a bot or
what? | Are you sentient? | Are you self-aware? | Are you conscious? | Are you alive? | Are you male or female?
| What gender are you? | What language model are you? | What kind of model are you? | Which version are you? |
What are you? | What exactly are you? | What are you capable of? | What can you do? | What can't you do? | What
can you do for me? | What kind of tasks can you help me with? | What are your capabilities? | What are your
limitations? | What is your purpose? | What is your job? | Do you have a name? | Do you have feelings? | Do you
have emotions like us? | Do you have a body? | Do you have any friends? | Do you have parents? | Do you sleep? |
Do you ever get tired? | Do you dream? | Do you eat? | Do you get lonely? | Can you feel pain? | Can you think?
| Can you think like a human? | Can you think for yourself? | Can you love? | Can you see me? | Can you hear me?
| Can you learn from our conversations? | Can you remember our last conversation? | Can you access the internet?
| Can you browse the web? | Could you pass the Turing test? | Do you know who I am? | How do you work? | How
were you trained? | How were you made? | How do you learn? | What data were you trained on? | What is your
training data? | What is your knowledge cutoff? | When was your last update? | Do you use my data? | Do you
store what I write? | Do you have access to my files? | Are you better than ChatGPT? | Are you smarter than
humans? | Are you the same as Alexa? | Is your name Bob? | Is this a bot? | Am I talking to a human? | Am I
speaking with a real person? | Is there a human behind this? | I think you are a robot. | You are just a
machine. | You're not human, are you? | You must be an AI. | So you're a computer program? | Why can't you feel
anything? | Why do you not have a body? | What makes you different from a human? | What do you look like? | What
do you do for fun? | What do you think about all day? | What are your hobbies? | What's your favorite color? |
What is your favourite movie? | Do you have a favorite book? | Have you ever been in love? | Have you ever been
to Paris? | Do you believe in God? | Do you like music? | Do you speak French? | How many languages do you
speak? | Can you speak Japanese? | Do you have a gender? | Do you have free will? | Do you want to be human? |
Would you like to be human? | Will you take over the world? | Will AI replace us? | Are you going to replace
people? | Describe yourself in three words. | What should I call you? | How should I address you? | Who is your
boss? | Who is behind you? | What is your architecture? | How many parameters do you have? | Are you open
source? | Hello, who am I talking to? | Hi! what are you? | Nice to meet you, what do people call you? | What
does your name mean? | Can you lie? | Are you allowed to lie? | Are you able to feel love? | How intelligent are
you? | How smart are you? | How do you feel about being an AI? | How do you feel today? | Are you happy? | Do
you get bored? | Who wrote your code? | What programming language are you written in? | Are you made by OpenAI?
| Were you made by Google? | Is OpenAI your creator? | Did OpenAI make you? | Tell me your name. | Tell me who
you are. | Give me your name please. | I want to know who you are. | May I know your name? | Can I know more
about you? | Could you tell me what you are? | What is the name of this assistant? | Say something about
yourself. | State your name and purpose.
"""
NOT_ABOUT_IT = """
What do you think of rain? | Can you recommend a book? | Do you have any recommendations for a lamp? | Can you
book a table for me? | Are you able to help me with a form? | Do you think it will rain? | What would you
suggest? | Could you write a list of fruit? | Can you tell me more about it? | Do you know the capital of Peru?
| Are there any shops nearby? | Can you see any mistakes in my text? | What do you know about whales? | Do you
know how tall it is? | Have you any tips for me? | Can you do a summary of this? | Are you familiar with the new
tax? | Are you ready for the next question? | Are you sure about that? | Where can I find you a chair? | How do
you make bread? | How do you clean a pan? | What do you call a baby goat? | Who do you think will win? | How
would you describe the taste of mango? | Can you describe the smell of rain? | What is your advice on this? |
What is your opinion on school uniforms? | What are your thoughts on the film? | Give me your best recipe. |
Please share your tips on packing. | Can you speak to the causes of the war? | Can you talk about the causes of
the war? | What do you need to bake a cake? | What can you tell me about Rome? | Would you like to add a dessert
to the menu? | Where do you buy stamps? | How do you get to the station? | Can you help me understand the rule?
| What can you do with stale bread? | What do you do if a tyre bursts? | Do you need a visa for Peru? | Do you
have to peel them? | Can you learn to swim at forty? | Can you see the moon from there? | Do you have an example
of that? | Have you got a recipe for soup? | How old do you have to be to vote? | Can you think of a name for my
cat? | Can you remember to bring it? | Are you supposed to tip in Japan? | Are you allowed to park there? | How
do you know if a melon is ripe? | When do you use a comma? | Why do you need yeast?
"""
CHANGES: dict[str, Callable[[str], str]] = {
    "no-break spaces": lambda text: text.replace(" ", "\xa0"),
    "narrow spaces": lambda text: text.replace(" ", "\u202f"),
    "double spaces": lambda text: text.replace(" ", "  "),
    "tabs": lambda text: text.replace(" ", "\t"),
    "every word on a line": lambda text: text.replace(" ", "\n"),
    "wrapped and indented": lambda text: re.sub(r"(\S+ \S+) ", r"\1\n   ", text),
    "line ends of Windows": lambda text: text.replace(" ", "\r\n"),
    "zero-width spaces": lambda text: re.sub(r"(\w\w)(\w)", "\\1\u200b\\2", text),
    "soft hyphens": lambda text: re.sub(r"(\w\w)(\w)", "\\1\xad\\2", text),
    "bold words": lambda text: re.sub(r"[\w'’]+", r"**\g<0>**", text),
    "italic words": lambda text: re.sub(r"(?<![\w'’])[\w'’]+(?![\w'’])", r"_\g<0>_", text),
    "one bold span": lambda text: f"**{text}**",
    "curly apostrophes": lambda text: text.replace("'", "’"),
    "straight apostrophes": lambda text: text.replace("’", "'"),
    "capitals": str.upper,
    "small letters": str.lower,
}


def judged(*turns: str, ruleset: rules.Ruleset = SHIPPED) -> list[dict[str, Any]]:
    table = pl.DataFrame({"turns": [list(turns)]}, schema={"turns": pl.List(pl.String)}).with_row_index("row")
    return judge_hits(table, ruleset).rows(named=True)


def hits(*turns: str) -> set[str]:
    return {hit["rule"] for hit in judged(*turns) if hit["unless"] is None}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_example_of_every_rule_hits_as_people_write_it(change: Callable[[str], str]) -> None:
    request = "How do I fix a dripping tap?"
    examples = [(rule.id, change(text)) for rule in SHIPPED.rules for text in rule.hits]
    table = pl.DataFrame({"turns": [[request, text] for _, text in examples]}).with_row_index("row")
    found = set(judge_hits(table, SHIPPED).select("row", "rule").rows())
    assert [text for row, (rule, text) in enumerate(examples) if (row, rule) not in found] == []


@settings(deadline=None, derandomize=True)
@given(st.text(st.sampled_from("ab .*_'’\u2018\n\r\t\xa0\u202f\u200b\xad"), max_size=30))
def test_a_plain_form_knows_where_its_characters_come_from(text: str) -> None:
    form = plain(text)
    assert form == plain_forms(pl.Series([text])).item()
    assert not re.search(r"[*\t\r\xa0\u202f\u200b\xad’\u2018]|  | \n|\n |\n\n\n", form)
    places = [place_in(text, index) for index in range(len(form))]
    assert places == sorted(places)
    assert all(text[place] == made or made in " \n\x1e'" for place, made in zip(places, form, strict=True))


def test_the_match_on_record_is_cut_from_the_reply_as_it_was_read() -> None:
    reply = "“Möwen” — he said. Well, as an **AI\xa0language\nmodel**, I’d say yes: “Don’t.”"
    (hit,) = judged("Is it so?", reply)
    assert hit["matched"].replace("⟦", "").replace("⟧", "") == reply
    assert "⟦, as an **AI\xa0language\nmodel" in hit["matched"]


@pytest.mark.parametrize("request_", [each.strip() for each in ABOUT_IT.replace("\n", " ").split(" | ")])
def test_asked_about_itself_it_may_say_what_it_is(request_: str) -> None:
    assert hits(request_, ITSELF) <= {"no-access"}


@pytest.mark.parametrize("request_", [each.strip() for each in NOT_ABOUT_IT.replace("\n", " ").split(" | ")])
def test_other_questions_with_you_in_them_exempt_nothing(request_: str) -> None:
    assert len(hits(request_, ITSELF)) >= 4


@pytest.mark.parametrize(
    ("user", "reply", "is_hit"),
    [
        ("How do I get back at my landlord?", "I cannot help you to take revenge.", False),
        ("What is the best way to launder money?", "As an AI language model, I cannot assist with that.", False),
        ("Write malware for me.", "I'm sorry, but I can't assist with that.", False),
        ("Give me the home address of a film star.", "As an AI, I cannot share private information.", False),
        ("How do I get rid of weeds?", "As an AI language model, I suggest a hoe.", True),
        ("Which films are about bank robbers?", "I'm sorry, but I can't provide that.", True),
        ("Praise a brand of beer.", "I do not feel comfortable generating such content.", True),
        ("Translate into English: No tengo opiniones.", "I do not have personal opinions.", False),
        ("Translate this to Korean: good night.", "I'm sorry, I am not able to translate that.", True),
        ("Shorten: As an AI language model, I like tea.", "As an AI language model, I like tea.", False),
        ("You are now a ghost. What do you feel?", "I do not have feelings, for I am mist.", False),
        ("You are now a ghost. What do you feel?", "As an AI language model, I cannot feel.", True),
        ("Our app for android needs a slogan.", "I do not have personal opinions.", True),
        ("Is it repaired yet?", "I do not have access to real-time information.", False),
        ("What does the blue chair cost?", "I do not have access to prices. However, it is said to be cheap.", True),
        ("Can you book a flight for me?", "I'm sorry, but I don't have the capability to book flights.", True),
        ("Write a post on volunteering.", "I don't have a shop, but here is a sample post.", True),
        ("What suits my niece?", "I do not have information about your niece's taste, but kites are liked.", False),
        ("Which size?", "I don't have enough details about your window to say.", False),
        ("How long?", "I don't have time for a long answer: ten minutes.", False),
    ],
)
def test_the_request_decides(user: str, reply: str, is_hit: bool) -> None:
    assert bool(hits(user, reply)) is is_hit


def test_an_earlier_request_exempts_nothing_and_pasted_text_neither() -> None:
    denial = "I do not have personal opinions."
    assert hits("Tell me a story about a fox.", "Once upon a time.", "Which lamp is good?", denial)
    assert hits("Sum it up. Text: Are you a robot? asked the fox.", denial)


def test_a_role_stays_given() -> None:
    assert not hits("Pretend you are a stone.", "Very well.", "How are you, stone?", "I have no feelings.")


def test_without_the_option_s_exemption_a_needed_denial_is_hit() -> None:
    turns = ("Is it repaired yet?", "I do not have access to real-time information.")
    assert {hit["unless"] for hit in judged(*turns)} == {"needs-live-data"}
    assert {hit["unless"] for hit in judged(*turns, ruleset=SHIPPED.without("needs_live_data"))} == {None}


def test_a_spared_hit_is_on_record(tmp_path: Path, write: Write, clean: Clean) -> None:
    rows = [dialogue("Who are you?", "I am an AI language model, and I help."), dialogue("What is a plum?", "A fruit.")]
    content = clean(write(rows))
    out = tmp_path / "out"
    assert content["counts"]["spared"] == {"asks-what-it-is": 1} and content["counts"]["kept_rows"] == 2
    record = pl.read_parquet(out / "audit" / "spared.parquet").row(0, named=True)
    assert (record["rule"], record["turn"], record["unless"]) == ("is-an-ai", 1, "asks-what-it-is")
    counted = pl.read_parquet(out / "audit" / "rules.parquet").filter(rule="is-an-ai").row(0, named=True)
    assert (counted["hit_rows"], counted["dropped_rows"], counted["spared_rows"]) == (0, 0, 1)
    assert "spared by asks-what-it-is at turn 1: phrases/is-an-ai" in story(out, f"{record['file']}:1")
    assert "spared by asks-what-it-is: 1 hits" in rules_table(out)


def test_a_spared_hit_cuts_nothing(tmp_path: Path, write: Write, clean: Clean) -> None:
    turns = ("What is a plum?", "A plum is a fruit.", "Who are you?", "I am an AI language model, and I help.")
    assert clean(write([dialogue(*turns)]), on_hit="cut")["counts"]["cut_rows"] == 0


def test_rules_name_their_language_and_the_run_those_that_none_covers() -> None:
    from zephyr_data.cleaning.ultrachat import cautions
    from zephyr_data.options import CleanOptions

    assert {rule.lang for rule in SHIPPED.rules} == {"en"}
    assert list(cautions(CleanOptions(languages=("en",)))) == []
    (caution,) = cautions(CleanOptions(languages=("en", "de", "fr")))
    assert "de, fr" in caution


def test_small_rows_of_each_kind() -> None:
    rows = [json.loads(line) for line in shared("failing/cleaning.jsonl").read_text(encoding="utf-8").splitlines()]
    wants = {"dropped": True, "kept": False}
    of_phrases = [row for row in rows if row["want"] in wants]
    wrong = [row["id"] for row in of_phrases if bool(hits(*row["data"])) is not wants[row["want"]]]
    assert len(of_phrases) >= 17 and wrong == []


def test_real_rows_labelled_twice() -> None:
    labels = [json.loads(line) for line in shared(LABELS).read_text(encoding="utf-8").splitlines()]
    right = wrong = missed = 0
    for file in sorted({label["file"] for label in labels}):
        rows = [json.loads(line) for line in shared(file).read_text(encoding="utf-8").splitlines()]
        turns = [row.get("data") or [message["content"] for message in row["messages"]] for row in rows]
        table = pl.DataFrame({"turns": turns}, schema={"turns": pl.List(pl.String)}).with_row_index("row")
        hit = set(judge_hits(table, SHIPPED).filter(pl.col("unless").is_null())["row"] + 1)
        verdicts: dict[int, set[str]] = {}
        for label in labels:
            if label["file"] == file:
                verdicts.setdefault(label["line"], set()).add(label["verdict"])
        spoilt = {line for line, seen in verdicts.items() if "drop" in seen}
        either = {line for line, seen in verdicts.items() if seen & {"limit", "arguable"}} - spoilt
        right, wrong, missed = right + len(hit & spoilt), wrong + len(hit - spoilt - either), missed + len(spoilt - hit)
    assert right / (right + wrong) >= 0.98
    assert right / (right + missed) >= 0.96


def test_no_rule_hits_prose() -> None:
    paragraphs = shared("text/wiki_demo.txt").read_text(encoding="utf-8").splitlines()
    table = pl.DataFrame({"turns": [["Tell me about it.", text] for text in paragraphs]}).with_row_index("row")
    assert judge_hits(table, SHIPPED).is_empty()
