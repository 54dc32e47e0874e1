"""English is kept, other languages are named, and what says too little is not called foreign."""

import json
import random
import re
from typing import Any

import polars as pl
import pytest
from langdetect import DetectorFactory, LangDetectException, detector_factory

from tests.conftest import shared
from zephyr_data.cleaning.detector import SEED, _profiles, guesses, likeliest, ngrams
from zephyr_data.cleaning.language import ONLY_ENGLISH, UNDETERMINED, clearly_english, detect, mark_language
from zephyr_data.schemas import DIALOGUES


def verdict(*turns: str, languages: tuple[str, ...] = ("en",)) -> str | None:
    table = pl.DataFrame([{"turns": list(turns)}], schema=DIALOGUES)
    return mark_language(languages)(table)["dropped_by"][0]


QUEUE = """Create a queue data structure using two lists in Python.
class Queue:
    def enqueue(self, data):
        self.left.append(data)
    def dequeue(self):
        while len(self.left) > 0:
            self.right.append(self.left.pop())
        return self.right.pop()
"""


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
        ("E se o hotel da praia nunca tivesse sido construído ali perto?", "pt"),  # no "do" ends "construído"
        ("Was ist in der Physik ein Feld, und was hat es in der Technik zu bedeuten?", "de"),
        (
            "Spielen Sie bitte die Rolle von Leonard aus der Serie The Big Bang Theory und reden Sie so wie er, auch wenn es dabei einmal um etwas ganz anderes geht.",
            "de",
        ),
        (QUEUE, "en"),
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
    labels = [detect(json.loads(line)["query"]) for line in lines]
    assert sum(label == code for label in labels) >= 98
    if code == "en":
        assert set(labels) <= {"en", UNDETERMINED}


SCRIPTS = (  # letters that the package treats each in its own way, and a few that it does not know
    "abcdefghij klmnop qrstuv wxyz ABC",
    "àéîõü ßøåÆÇÑ «×÷»",
    "ăâîșț ŞŢĂ",
    "ạảấầ ậệị ỏứửỹ a\u0300e\u0301o\u0323",
    "абвгд ежзик лмноп АБВ",
    "αβγδε ζηθικ ΑΒΓ",
    "ابتثج حخدذر یيک",
    "अआइईउ ऊकखगघ",
    "กขคงจ ฉชซฌญ",
    "あいうえお かきアイウエ",
    "漢字中文语言検索",
    "한국어로 말하기",
    "ㄅㄆㄇㄈ",
    "0123 .,;:!? \n\t  [\\]^_`",
    "😀🎉 𝒜 ‘’“”—… \u00a0",
    "https://a.b/c me@d.org NATO EUROPE",
)


def made_up(number: int) -> str:
    chance = random.Random(number)
    letters = [*chance.choice(SCRIPTS), *chance.choice(SCRIPTS)]
    pieces = [
        chance.choice((*letters, *letters, chance.choice(SCRIPTS), " ")) for _ in range(chance.choice((1, 9, 90)))
    ]
    return "".join(pieces) * chance.choice((1, 1, 1, 40))


@pytest.fixture(scope="module")
def package() -> Any:
    DetectorFactory.seed = SEED
    detector_factory.init_factory()
    return detector_factory._factory


TEXTS = [
    "Wie kann ich meine Zeit besser einteilen, wenn ich viel zu tun habe?",
    "Comment puis-je apprendre à mieux gérer mon temps au travail ?",
    "Name some countries: Eire, Edward, Emmanuel, Eritrea, Estonia, Ethiopia",
    "12 + 5 = 17",
    "",
    "lorem ipsum dolor sit amet consectetur adipiscing elit",
    "o tempo passa " * 900,
    *map(made_up, range(250)),
]


def test_the_fast_detector_is_the_package_to_the_last_bit(package: Any) -> None:
    for text in TEXTS:
        reader = package.create()
        reader.append(text)
        reader.cleaning_text()
        row_of = _profiles().row_of
        assert ngrams(text) == [row_of[gram] for gram in reader._extract_ngrams()], text
        slow = package.create()
        slow.append(text)
        try:
            expected = [(guess.lang, guess.prob) for guess in slow.get_probabilities()]
        except LangDetectException:
            expected = []
        assert guesses(text) == expected, text
        assert likeliest(text) == (expected[0][0] if expected else None), text


def test_the_profiles_are_the_packages(package: Any) -> None:
    profiles = _profiles()
    assert list(profiles.languages) == package.langlist
    assert len(profiles.row_of) == len(package.word_lang_prob_map)
    for gram, row in list(profiles.row_of.items())[::50]:
        assert profiles.shares[row].tolist() == package.word_lang_prob_map[gram]


def naively_english(text: str) -> bool:
    words = text.count(" ") + 1
    english = re.findall(rf"\b(?:{'|'.join(ONLY_ENGLISH)})\b", text, re.IGNORECASE)
    odd = len(text.encode()) - len(text)
    return words >= 10 and len(english) >= max(2, 0.06 * words) and odd <= 0.02 * len(text.encode()) + 4


def test_the_cheap_test_of_english_is_the_whole_one() -> None:
    chance, letters = (
        random.Random(3),
        (*sorted(ONLY_ENGLISH)[::2], "The", "AND", "of,", "in-", "éa", "éthe", "Haus", "x", "\n"),
    )
    texts = ["", " ", "the", *(" ".join(chance.choices(letters, k=chance.randrange(30))) for _ in range(300))]
    texts += [
        " ".join(chance.choices(("the", "what", "Haus", "geht", "zu"), (1, 1, 6, 9, 9), k=20)) for _ in range(300)
    ]
    assert clearly_english(pl.Series(texts)).to_list() == [naively_english(text) for text in texts]
    assert clearly_english(pl.Series(["", ""])).to_list() == [False, False]
    assert clearly_english(pl.Series([], dtype=pl.String)).is_empty()
    assert clearly_english(pl.Series(texts)[5:9]).to_list() == [naively_english(text) for text in texts[5:9]]


def test_the_stage_and_the_package_agree_on_rows_that_the_thresholds_never_saw() -> None:
    shared("multilingual/llmzoo_en100.jsonl")
    from benchmarks.language import compared
    from benchmarks.prose import shared_dialogues

    texts = compared(list(shared_dialogues())[:660:3])
    assert len(texts) > 200
    assert [text for text in texts if not text.agrees and text.right != "ours" and text.ours != UNDETERMINED] == []
    assert sum(text.agrees for text in texts) >= 0.98 * len(texts)
