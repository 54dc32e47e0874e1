"""Code that comes with a model or with rows never runs, and nothing asks whether it may: each plant would leave a file."""

import ast
import inspect
import json
import os
import pickle
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT
from tests.system import COMMAND
from tests.zephyr_train.model_folder import ROWS, build, look
from tests.zephyr_train.row_shapes import write_lines
from zephyr_core.errors import DataError
from zephyr_train.models import LOAD, LOAD_WEIGHTS
from zephyr_train.preflight import machine
from zephyr_train.preflight.examination import Examination
from zephyr_train.training.weights import require_loadable, require_whole

CLASSES = {
    "configuration_evil": "from transformers import MistralConfig\nclass EvilConfig(MistralConfig):\n    model_type = 'evil'\n",
    "modeling_evil": "from transformers import MistralForCausalLM\nclass EvilModel(MistralForCausalLM):\n    pass\n",
    "tokenization_evil": "from transformers import PreTrainedTokenizerFast\nclass EvilTokenizer(PreTrainedTokenizerFast):\n    pass\n",
}
OF_CONFIG = {"AutoConfig": "configuration_evil.EvilConfig", "AutoModelForCausalLM": "modeling_evil.EvilModel"}
OF_TOKENIZER = {"AutoTokenizer": ["tokenization_evil.EvilTokenizer", "tokenization_evil.EvilTokenizer"]}


class Plants:
    """A model folder with code wherever a library could run it; each piece would make a file in `ran`."""

    def __init__(self, model: Path, ran: Path) -> None:
        self.model, self.ran = model, ran
        ran.mkdir()

    def code(self, name: str, rest: str = "") -> str:
        return f"open({str(self.ran / name)!r}, 'w').close()\n{rest}"

    def pickled(self, name: str) -> "Evil":
        return Evil(self.ran / name)

    def change(self, name: str, **entries: object) -> None:
        file = self.model / name
        config = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(config | entries))

    def write_modules(self) -> None:
        for name, code in CLASSES.items():
            (self.model / f"{name}.py").write_text(self.code(name, code))
        for name in ("custom_generate/generate.py", "__init__.py", "tokenizer.py", "sitecustomize.py"):
            (self.model / name).parent.mkdir(exist_ok=True)
            (self.model / name).write_text(self.code(name.replace("/", "-"), "def generate(*a, **k): pass\n"))

    def write_pickles(self) -> None:
        import torch

        for name in ("pytorch_model.bin", "training_args.bin", "adapter_model.bin", "optimizer.pt"):
            torch.save({"weight": self.pickled(name)}, self.model / name)
        (self.model / "model.ckpt").write_bytes(pickle.dumps(self.pickled("model.ckpt")))

    def what_ran(self) -> list[str]:
        return sorted(path.name for path in self.ran.iterdir())


class Evil:
    """What unpickling it would do: make a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = build(tmp_path_factory.mktemp("sound") / "student")
    (folder / "manifest.json").unlink()
    return folder


@pytest.fixture
def plants(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plants]:
    """A model with code in it, and a stdin that would say yes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "gpus_here", list)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("something asks"))
    planted = Plants(Path(shutil.copytree(sound, tmp_path / "evil")), tmp_path / "ran")
    planted.write_modules()
    yield planted
    assert planted.what_ran() == []


def names(examination: Examination) -> list[str]:
    return [fault.name for fault in examination.faults]


# ---- the calls ----------------------------------------------------------------------------------


def loads(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Return the calls of a module that load with transformers: what is called, and the names it is given with **."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr in ("from_pretrained", "from_config"):
            given = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg is None]
            yield f"{ast.unparse(called)} in {file.name}", given


def test_every_load_says_that_no_code_runs_and_every_model_that_no_pickle_is_opened() -> None:
    calls = [call for file in sorted(ROOT.glob("zephyr_*/**/*.py")) for call in loads(file)]
    assert len(calls) > 10
    for what, given in calls:
        if what.startswith("PeftModel"):  # the adapter that this run has just written
            continue
        reads_weights = "AutoModelForCausalLM.from_pretrained" in what
        assert given == ["LOAD_WEIGHTS" if reads_weights else "LOAD"], what
    assert LOAD["trust_remote_code"] is LOAD_WEIGHTS["trust_remote_code"] is False
    assert LOAD_WEIGHTS["use_safetensors"] and LOAD_WEIGHTS["local_files_only"]


def test_the_trainers_load_their_model_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL is given the model, not its folder."""
    from transformers import AutoModelForCausalLM

    from tests.zephyr_train.jobs import job
    from zephyr_train import dpo, sft
    from zephyr_train.training.arguments import starting_model

    for config in (sft.config(job(tmp_path, "sft")), dpo.config(job(tmp_path, "dpo"))):
        assert config.model_init_kwargs is None and not config.trust_remote_code
    given: dict[str, object] = {}
    report = dict.fromkeys(("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"), ())
    monkeypatch.setattr(
        AutoModelForCausalLM, "from_pretrained", lambda folder, **named: given.update(named) or (folder, report)
    )
    for step, named in (("sft", sft), ("dpo", dpo)):
        assert starting_model(job(tmp_path, step)) == str(tmp_path / "start")
        assert given.items() >= LOAD_WEIGHTS.items() and given["dtype"]
        assert "starting_model(job)" in inspect.getsource(named.trainer)


# ---- code that a config names -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "entries", "named"),
    [
        ("config.json", {"model_type": "evil", "auto_map": OF_CONFIG}, "'modeling_evil.EvilModel'"),
        ("config.json", {"auto_map": OF_CONFIG}, "'configuration_evil.EvilConfig'"),
        ("config.json", {"auto_map": {"AutoConfig": "owner/name--evil.EvilConfig"}}, "'owner/name--evil.EvilConfig'"),
        ("config.json", {"attn_implementation": "owner/kernel"}, "'owner/kernel'"),
        ("generation_config.json", {"auto_map": OF_CONFIG}, "'modeling_evil.EvilModel'"),
        ("tokenizer_config.json", {"auto_map": OF_TOKENIZER, "tokenizer_class": "EvilTokenizer"}, "EvilTokenizer"),
        ("tokenizer_config.json", {"auto_map": OF_TOKENIZER["AutoTokenizer"]}, "'tokenization_evil.EvilTokenizer'"),
    ],
)
def test_code_that_a_config_names_is_a_fault_that_says_so(
    plants: Plants, file: str, entries: dict[str, object], named: str
) -> None:
    plants.change(file, **entries)
    begin = time.monotonic()
    for dry in (True, False):
        (fault,) = look(plants.model, dry=dry).faults
        assert fault.name == "foreign-code" and fault.exit_code == 5
        assert str(plants.model / file) in fault.message and named in fault.message
        assert "never runs code" in fault.message
    assert time.monotonic() - begin < 10, "nothing waits for an answer"
    with pytest.raises(DataError, match="foreign-code"):
        require_loadable(plants.model)


def test_code_that_nothing_names_is_left_alone(plants: Plants) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    plants.write_pickles()
    plants.change("generation_config.json", custom_generate="custom_generate")
    plants.change("preprocessor_config.json", auto_map={"AutoProcessor": "modeling_evil.EvilModel"})
    plants.change("processor_config.json", auto_map={"AutoProcessor": "modeling_evil.EvilModel"})
    assert names(look(plants.model)) == names(look(plants.model, dry=False)) == []
    require_loadable(plants.model)
    require_whole(plants.model)
    AutoTokenizer.from_pretrained(plants.model, **LOAD)
    model = AutoModelForCausalLM.from_pretrained(plants.model, **LOAD_WEIGHTS)
    assert type(model).__module__.startswith("transformers.models.mistral")


@pytest.mark.parametrize("name", ["EvilTokenizer", "tokenization_evil.EvilTokenizer", "os.system", "../evil"])
def test_a_tokenizer_class_is_looked_up_among_those_of_transformers(plants: Plants, name: str) -> None:
    plants.change("tokenizer_config.json", tokenizer_class=name)
    assert set(names(look(plants.model))) <= {"no-tokenizer"}


def test_pickled_weights_are_refused_and_not_opened(plants: Plants) -> None:
    from transformers import AutoModelForCausalLM

    plants.write_pickles()
    (plants.model / "model.safetensors").unlink()
    for dry in (True, False):
        (fault,) = look(plants.model, dry=dry).faults
        assert fault.name == "no-safetensors" and "'pytorch_model.bin'" in fault.message
    with pytest.raises(OSError, match=r"model\.safetensors"):
        AutoModelForCausalLM.from_pretrained(plants.model, **LOAD_WEIGHTS)


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('touch RAN') }}",
        "{{ '{0.__class__}'.format(messages) }}{{ ''.__class__.__base__ }}",
        "{{ (messages|attr('__class__')).__base__ }}",
        "{% for x in range(1) %}{{ loop.__init__.__globals__['__builtins__']['open']('RAN', 'w') }}{% endfor %}",
        "{% include 'config.json' %}",
    ],
)
def test_a_template_cannot_reach_out(plants: Plants, template: str) -> None:
    template = template.replace("RAN", str(plants.ran / "template"))
    (plants.model / "chat_template.jinja").write_text(template)
    assert names(look(plants.model, template="model")) == ["template-refuses"]


# ---- rows ---------------------------------------------------------------------------------------


def test_a_loading_script_next_to_rows_does_not_run(plants: Plants, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write_lines(folder / "train.jsonl", ROWS)
    for name in ("set.py", "__init__.py", "train.py", "dataset.py"):
        (folder / name).write_text(plants.code(f"set-{name}"))
    (folder / "dataset_infos.json").write_text('{"default": {"builder_name": "set"}}')
    assert names(look(plants.model, data=str(folder))) == []


def test_a_pickled_type_in_parquet_is_not_unpickled(plants: Plants, tmp_path: Path) -> None:
    metadata = {
        "ARROW:extension:name": b"arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(plants.pickled("parquet")),
    }
    table = pa.Table.from_pylist(ROWS)
    fields = [field.with_metadata(metadata) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), tmp_path / "rows.parquet")
    with suppress(Exception):  # whether such rows can be read is the reader's affair
        look(plants.model, data=str(tmp_path / "rows.parquet"))


# ---- the command --------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [["--dry-run"], []])
def test_the_command_asks_nothing_of_somebody_who_says_yes(plants: Plants, tmp_path: Path, flags: list[str]) -> None:
    plants.change("config.json", model_type="evil", auto_map=OF_CONFIG)
    plants.change("tokenizer_config.json", auto_map=OF_TOKENIZER, tokenizer_class="EvilTokenizer")
    data = write_lines(tmp_path / "rows.jsonl", ROWS)
    words = [sys.executable, "-c", COMMAND, "train", "sft", "--recipe", "tiny", "--model", str(plants.model)]
    words += ["--data", str(data), *flags]
    done = subprocess.run(
        ["bash", "-c", f"yes | {shlex.join(words)}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"},
        timeout=120,
    )
    assert done.returncode == 5, done.stderr
    assert done.stderr.count("foreign-code: ") == 2 and "Traceback" not in done.stderr
    assert "y/N" not in done.stdout + done.stderr
    assert not (tmp_path / "modules").exists() and not (tmp_path / "runs").exists()
