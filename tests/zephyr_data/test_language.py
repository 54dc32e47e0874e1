"""English is kept, other languages are named, and what says too little is not called foreign."""

import json

import polars as pl
import pytest

from tests.conftest import shared
from zephyr_data.language import UNDETERMINED, detect, mark_language
from zephyr_data.schemas import DIALOGUES


def verdict(*turns: str, languages: tuple[str, ...] = ("en",)) -> str | None:
    table = pl.DataFrame([{"turns": list(turns)}], schema=DIALOGUES)
    return mark_language(languages)(table)["dropped_by"][0]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Wie kann ich meine Zeit besser einteilen, wenn ich viel zu tun habe?", "de"),
        ("Comment puis-je apprendre à mieux gérer mon temps au travail ?", "fr"),
        ("¿Cómo puedo aprender a organizar mejor mi tiempo en el trabajo?", "es"),
        ("你好，请问如何安排时间？", "zh"),
        ("時間をうまく使う方法を教えてください。Python3の場合です。", "ja"),
        ("Python和JavaScript编程语言的主要区别是什么？", "zh"),
        ("The word 你好 is how you say hello to somebody in Chinese, and it is polite.", "en"),
        ("시간을 잘 쓰는 방법을 알려 주세요.", "ko"),
        ("Как мне лучше планировать своё время на работе?", "ru"),
        ("How can I plan my time well when there is so much to do at work?", "en"),
    ],
)
def test_detect(text: str, code: str) -> None:
    assert detect(text) == code


@pytest.mark.parametrize(
    "turns",
    [
        ("Hi", "Hello! How can I help?"),
        ("😀😀", "🎉"),
        ("print(1)", "```python\nfor x in y:\n    print(x)\n```"),
        ("123 456", "579"),
        ("Paris, London, Berlin, Madrid", "Rome, Vienna"),
        ("H2O + NaCl", "https://example.com/a/b"),
        (
            "How do you say good morning in French?",
            "You say: bonjour. In the evening it is bonsoir, and at night bonne nuit.",
        ),
    ],
)
def test_short_code_and_emoji_are_not_foreign(turns: tuple[str, ...]) -> None:
    assert verdict(*turns) is None


def test_languages_asked_for_are_kept() -> None:
    german = (
        "Wie kann ich meine Zeit besser einteilen?",
        "Schreiben Sie am Abend auf, was am nächsten Tag zu tun ist.",
    )
    english = ("How can I plan my time?", "Write down in the evening what there is to do on the next day.")
    assert verdict(*german) == "language/detected-de"
    assert verdict(*german, languages=("en", "de")) is None
    assert verdict(*english, languages=("de",)) == "language/detected-en"


def test_the_detector_does_not_waver() -> None:
    text = "Dette er en kort tekst på norsk eller dansk, hvem vet."
    assert len({detect(text) for _ in range(10)}) == 1


@pytest.mark.parametrize(("name", "code"), [("en", "en"), ("fr", "fr"), ("ja", "ja"), ("pt", "pt"), ("zh", "zh")])
def test_real_questions(name: str, code: str) -> None:
    lines = shared(f"multilingual/llmzoo_{name}100.jsonl").read_text().splitlines()
    found = [detect(json.loads(line)["query"]) for line in lines]
    assert sum(label == code for label in found) >= 98
    if code == "en":
        assert set(found) <= {"en", UNDETERMINED}


TEXTS = [
    "Wie kann ich meine Zeit besser einteilen, wenn ich viel zu tun habe?",
    "Comment puis-je apprendre à mieux gérer mon temps au travail ?",
    "Name some countries: Eire, Edward, Emmanuel, Eritrea, Estonia, Ethiopia",
    "O tempo passa e a gente precisa de um plano para o dia de trabalho.",
    "12 + 5 = 17",
    "",
    "Hi",
    "你好，请问如何安排时间？",
    "lorem ipsum dolor sit amet consectetur adipiscing elit",
]


def test_the_fast_detector_is_the_package() -> None:
    from langdetect import DetectorFactory, LangDetectException, detect_langs

    from zephyr_data.detector import SEED, likeliest

    def package(text: str) -> tuple[str, float] | None:
        DetectorFactory.seed = SEED
        try:
            best = detect_langs(text)
        except LangDetectException:
            return None
        return (best[0].lang, best[0].prob) if best else None

    for text in TEXTS:
        assert likeliest(text) == package(text), text
