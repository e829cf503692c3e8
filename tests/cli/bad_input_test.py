"""What a person can get wrong, on one rank: each ends with its exit code and one line that names the thing and says what
would be right. bad_input_ranks_full_test.py has the same under mpirun."""

import json
import os
import shutil
import struct
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from runs import CONFIG, GOLDEN, RunTest, latest, write_safetensors  # noqa: E402
from schedules import schedule_names  # noqa: E402


class Config(RunTest):
    def bad(self, pattern, *overrides):
        self.refused(2, pattern, "train", self.config, *overrides)

    def bad_file(self, pattern, text):
        self.config.write_text(text)
        self.bad(pattern)

    def test_unknown_keys(self):
        self.bad(r"unknown key training\.micro_batch_sise on the command line.*training\.micro_batch_size",
                 "--training.micro_batch_sise=2")
        self.bad(r"unknown key optimiser\.lr on the command line; the nearest known key is optimizer\.lr", "--optimiser.lr=1")
        self.bad_file(r"unknown key model\.num_layer in .*config\.json.*model\.num_layers", '{"model": {"num_layer": 2}}')
        self.bad_file(r"unknown section modell in .*config\.json.*model", '{"modell": {}}')

    def test_wrong_types(self):
        self.bad(r"training\.train_iters.*ten", "--training.train_iters=ten")
        self.bad(r"training\.train_iters.*1\.5", "--training.train_iters=1.5")
        self.bad(r"model\.lfa.*3", "--model.lfa=3")
        self.bad(r"optimizer\.lr.*fast", "--optimizer.lr=fast")
        self.bad(r"parallel\.pipeline_layout", "--parallel.pipeline_layout=7")
        self.bad(r"training\.dtype.*fp33.*fp32", "--training.dtype=fp33")
        self.bad(r"training\.micro_batch_size.*0", "--training.micro_batch_size=0")
        self.bad(r"training\.seq_length.*-3", "--training.seq_length=-3")
        self.bad(r"training\.train_iters is 1e\+20 .*must be a whole number, 1 to 2147483647", "--training.train_iters=99999999999999999999")
        self.bad_file(r"section training in .*config\.json must be an object", '{"training": [1]}')
        self.bad_file(r"config\.json must hold an object of sections", "[]")

    def test_bad_json(self):
        self.bad_file(r"config\.json:3:13: ", '{\n  "model": {\n    "lfa": ture\n  }\n}\n')
        self.bad_file(r"config\.json:1:1: ", "")
        self.bad_file(r"config\.json:2:1: ", '{"model": {}\n')
        self.bad_file(r"config\.json: the key model\.lfa appears twice", '{"model": {"lfa": true, "lfa": false}}')
        self.config.write_bytes(b'{"model": {"preset": "\xff"}}')
        self.bad(r"config\.json:1:\d+: .*UTF-8")

    def test_missing_files_and_keys(self):
        self.refused(2, r"cannot open nowhere\.json: No such file", "train", "nowhere.json")
        self.refused(2, rf"cannot read {self.folder}: Is a directory", "train", self.folder)
        self.bad(r"--training\.save", "--training.save")
        self.bad_file(r"the model section says no model", "{}")
        del (config := json.loads(json.dumps(CONFIG)))["data"]
        self.bad_file(r"data\.train", json.dumps(config))

    def test_what_does_not_go_together(self):
        self.bad(r"training\.global_batch_size is 5; it must be a multiple of micro_batch_size, 2, such as",
                 "--training.global_batch_size=5", "--training.micro_batch_size=2")
        self.bad(r"model\.hidden_size is 50; it must be a multiple of model\.num_attention_heads", "--model.hidden_size=50")
        self.bad(r"training\.seq_length is 41; it must be at most model\.max_position_embeddings, 40",
                 "--training.seq_length=41")
        self.bad(r"optimizer\.min_lr is 1(\.0)?; it must be at most optimizer\.lr", "--optimizer.min_lr=1")
        self.bad(r"data\.eod is 192; it must be below model\.vocab_size, 192", "--data.eod=192")
        self.bad(r"give data\.eod or data\.tokenizer", "--data.eod=-1", "--data.reset_attention_mask=true")
        self.bad(r"data\.tokenizer bytes has \d+ tokens, more than model\.vocab_size 192", "--data.tokenizer=bytes")
        self.bad(r"there is no preset \"yuan3\"; the presets are yuan2-2\.1b", "--model.preset=yuan3")
        self.bad(r"training\.eval_interval is 5, but there is nothing to evaluate on", "--training.eval_interval=5")

    def test_a_layout_for_more_ranks(self):
        self.bad(r"2.*pipeline|pipeline.*2", "--parallel.pipeline_model_parallel_size=2")
        self.bad(r"parallel\.pipeline_layout \[3\]", "--parallel.pipeline_layout=[3]")

    def test_a_schedule_with_other_chunks(self):
        self.bad("it must be one of " + ", ".join(schedule_names()), "--parallel.pipeline_schedule=zb-h9")
        self.bad(r"parallel\.num_chunks is 3, but parallel\.pipeline_schedule zb-v takes 2",
                 "--parallel.pipeline_schedule=zb-v", "--parallel.num_chunks=3")

    def test_recomputation(self):
        self.bad(r"parallel\.recompute is \"some\".*must be \"none\"", "--parallel.recompute=some")
        self.bad(r"parallel\.recompute .*entry of stage 0 is \"all\"; it must be", '--parallel.recompute=["all"]')
        self.bad(r"parallel\.recompute \[1,2\] has 2 entries; it needs 1", "--parallel.recompute=[1,2]")
        self.bad(r"parallel\.recompute \[99\] recomputes 99 layers of stage 0, which has \d+; 0 to \d+ is possible",
                 "--parallel.recompute=[99]")

    def test_freezing(self):
        self.bad(r"training\.freeze is \"embedding\.\*\" \(text\) on the command line; it must be a list of texts such as",
                 "--training.freeze=embedding.*")
        self.bad(r"training\.freeze has \"embeding\.\*\", which is the name of no parameter; the nearest is embedding\.weight",
                 '--training.freeze=["embeding.*"]')
        self.bad(r"training\.freeze leaves nothing to train", '--training.freeze=["*"]')
        self.bad(r"training\.freeze has layers\.0\.attention\.q\.weight, but not layers\.0\.attention\.k\.weight; they are parts of one "
                 r"matrix: freeze both, or neither", '--training.freeze=["*.q.weight"]')

    def test_what_is_not_built_is_refused_by_name(self):
        for pattern, override in (
                (r"parallel\.pipeline_layout is \"even\"", "--parallel.pipeline_layout=even"),
                (r"training\.device.*cuda.*built without CUDA", "--training.device=cuda"),
                (r"model\.family.*llama.*not built", "--model.family=llama")):
            with self.subTest(override=override):
                self.bad(pattern, override)

    def test_commands(self):
        for pattern, command in ((r"command", ()), (r"trane", ("trane",)), (r"checkpoint import is not built yet", ("checkpoint", "import")),
                                 (r"checkpoint export is not built yet", ("checkpoint", "export", "a", "b")),
                                 (r"--steps", ("train", self.config, "--steps", "3")),
                                 (r"--model is required", ("eval",)),
                                 (r"HEADWATER_FAIL_WRITE is \"x\"", ("train", self.config, f"--training.save={self.folder}/s"))):
            with self.subTest(command=command):
                self.refused(2, pattern, *command, environment={"HEADWATER_FAIL_WRITE": "x"} if "FAIL_WRITE" in pattern else {})
        self.refused(2, r'HEADWATER_LOG is "loud"; it must be "debug" or "info"', "--help", environment={"HEADWATER_LOG": "loud"})
        self.assertIn("train", self.run_job(0, "--help").stdout)
        full = ("sh", "-c", 'exec "$@" > /dev/full', "sh")
        self.refused(3, "cannot write to standard output", "--help", wrapper=full)
        self.refused(3, "cannot write to standard output", "data", "info", f"{GOLDEN}/data", "--json", wrapper=full)
        self.assertIn("training.micro_batch_size", self.run_job(0, "train", "--help").stdout)
        self.assertRegex(self.run_job(0, "--version").stdout, r"^headwater \d+\.\d+")


class Data(RunTest):
    def setUp(self):
        super().setUp()
        self.prefix = self.folder / "copy"
        for ending in (".bin", ".idx"):
            shutil.copy(f"{GOLDEN}/data{ending}", f"{self.prefix}{ending}")
        self.bin, self.idx = Path(f"{self.prefix}.bin"), Path(f"{self.prefix}.idx")

    def bad(self, pattern, *overrides):
        self.refused(2, pattern, "train", self.config, f"--data.train={self.prefix}", *overrides)
        self.refused(2, pattern, "train", self.config, f'--data.train=[{{"prefix": "{GOLDEN}/data", "weight": 1}}, '
                     f'{{"prefix": "{self.prefix}", "weight": 1}}]', *overrides)

    def test_missing_files(self):
        self.idx.unlink()
        self.bad(rf"{self.idx} does not exist")
        shutil.copy(f"{GOLDEN}/data.idx", self.idx)
        self.bin.unlink()
        self.bad(rf"{self.bin} does not exist")

    def test_cut_index(self):
        content = self.idx.read_bytes()
        for size in (0, 5, 20, 40, len(content) // 2, len(content) - 1):
            with self.subTest(size=size):
                self.idx.write_bytes(content[:size])
                self.bad(rf"{self.idx} is cut: it has {size} bytes")

    def test_damaged_index(self):
        content = bytearray(self.idx.read_bytes())
        for at, value, pattern in ((0, 0, "is no Megatron index"), (9, 7, "version 7"), (17, 6, "element type 6"),
                                   (17, 99, "element type 99"), (25, 127, "claims"), (34, 1, "sequence|bytes")):
            with self.subTest(at=at):
                damaged = bytearray(content)
                damaged[at] = value
                self.idx.write_bytes(damaged)
                self.bad(rf"{self.idx}.*({pattern})")

    def test_short_data(self):
        content = self.bin.read_bytes()
        for size in (0, len(content) - 1):
            self.bin.write_bytes(content[:size])
            self.bad(rf"{self.bin} is cut: it has {size} bytes, its index describes 3575 tokens of type uint16, 7150 bytes")

    def test_a_token_outside_the_vocabulary(self):
        content = bytearray(self.bin.read_bytes())
        struct.pack_into("<H", content, 2 * 100, 192)
        self.bin.write_bytes(content)
        self.refused(2, rf"dataset {self.prefix} has token 192 at position 100; the vocabulary has 192, ids 0 to 191", "train",
                     self.config, f"--data.train={self.prefix}", "--data.shuffle=false")

    def test_too_little_data(self):
        self.bad(r"3575 tokens; one sample of seq_length 4000 takes 4001", "--training.seq_length=4000",
                 "--model.max_position_embeddings=4000")

    def test_text_that_is_not_utf8(self):
        text, model = self.folder / "text.txt", self.folder / "tokenizer"
        text.write_text("".join(f"{n} words of {n * n} and {n % 7} more\n" for n in range(300)))
        self.run_job(0, "data", "train-tokenizer", text, "--out", model, "--vocab-size", 300)
        tokenizer = next(path for path in self.folder.glob("tokenizer*") if path.suffix in ("", ".model"))
        for content, offset in ((b"good \xff bad", 5), (b"cut \xe6\xba", 4), (b"a " * 50_000 + b"\xc0\x80", 100_000)):
            with self.subTest(offset=offset):
                text.write_bytes(content)
                self.refused(2, rf"{text} is not UTF-8: its byte {offset} is 0x", "data", "tokenize", text, "--tokenizer",
                             tokenizer, "--out", self.folder / "out")
                self.assertEqual(sorted(path.name for path in self.folder.glob("out*")), [])
        lines = self.folder / "lines.jsonl"
        lines.write_text('{"text": "good"}\n{"text": 3}\n')
        self.refused(2, rf"{lines}.*line 2", "data", "tokenize", lines, "--tokenizer", "bytes", "--out", self.folder / "out")
        self.refused(2, r"nowhere\.txt", "data", "tokenize", "nowhere.txt", "--tokenizer", "bytes", "--out", self.folder / "out")
        self.refused(2, r"nowhere\.model", "data", "tokenize", lines, "--tokenizer", "nowhere.model", "--out",
                     self.folder / "out")
        self.refused(2, r"nothing\.idx does not exist", "data", "info", self.folder / "nothing")


class Models(RunTest):
    """Folders that hold no model, or another one."""

    def setUp(self):
        super().setUp()
        self.tokens = self.folder / "tokens.safetensors"
        write_safetensors(self.tokens, {"tokens": ((1, 4), [1, 2, 3, 4])})

    def logits(self, pattern, model, tokens=None):
        self.refused(2, pattern, "logits", "--model", model, "--tokens", tokens or self.tokens, "--out", self.folder / "out")

    def hf_folder(self):
        folder = self.folder / "hf"
        shutil.copytree(GOLDEN, folder, ignore=shutil.ignore_patterns("expected*", "data*"))
        return folder

    def test_no_model(self):
        self.logits(r"nowhere", "nowhere")
        empty = self.folder / "empty"
        empty.mkdir()
        self.logits(rf"{empty} ", empty)
        self.logits(r"config\.json has no \"model_type\"", self.folder)
        self.refused(2, r"nowhere", "checkpoint", "info", "nowhere")
        self.refused(2, rf"{self.folder}", "checkpoint", "verify", self.folder)
        self.refused(2, r"nowhere", "train", self.config, "--training.init_from=nowhere")

    def test_a_damaged_hugging_face_folder(self):
        folder = self.hf_folder()
        weights = folder / "model.safetensors"
        content = weights.read_bytes()
        for size in (0, 7, 100, len(content) - 1):
            with self.subTest(size=size):
                weights.write_bytes(content[:size])
                self.logits(rf"{weights}", folder)
        weights.write_bytes(b"\xff" * 64)
        self.logits(rf"{weights}", folder)
        weights.unlink()
        self.logits(r"safetensors", folder)
        weights.write_bytes(content)
        config = json.loads((folder / "config.json").read_text())
        for key, value in (("vocab_size", 191), ("num_hidden_layers", 5), ("model_type", "gpt_bigcode"), ("hidden_size", "big")):
            with self.subTest(key=key):
                (folder / "config.json").write_text(json.dumps({**config, key: value}))
                self.logits(r".", folder)
        (folder / "config.json").write_text("{")
        self.logits(rf"{folder}/config\.json:1:2: ", folder)

    def test_weights_of_another_model(self):
        self.refused(2, rf"{GOLDEN} is of another model: .*ffn_hidden_size", "train", self.config,
                     f"--training.init_from={GOLDEN}", "--model.ffn_hidden_size=64")

    def test_bad_batches(self):
        for pattern, tensors in ((r"token", {"other": ((1, 4), [1, 2, 3, 4])}), (r"192", {"tokens": ((1, 4), [1, 2, 192, 4])}),
                                 (r"-1", {"tokens": ((1, 4), [1, 2, -1, 4])}), (r"tokens", {"tokens": ((4,), [1, 2, 3, 4])}),
                                 (r"tokens", {"tokens": ((1, 2), [0.5, 1.5])})):
            with self.subTest(tensors=tensors):
                write_safetensors(self.tokens, tensors)
                self.logits(pattern, GOLDEN)
        self.logits(r"nowhere\.safetensors", GOLDEN, "nowhere.safetensors")

    def test_an_output_that_is_no_file(self):
        os.mkfifo(self.folder / "out")
        self.logits(rf"cannot write {self.folder}/out: it is not a regular file", GOLDEN)
        self.assertTrue((self.folder / "out").is_fifo())

    def test_a_prompt_that_cannot_be(self):
        for pattern, arguments in ((r"192", ("--prompt-tokens", "1,192")), (r"--prompt-tokens", ("--prompt", "text")),
                                   (r"--prompt", ("--prompt-tokens", "1,x")), (r"--top-p", ("--prompt-tokens", "1", "--top-p", "2"))):
            with self.subTest(arguments=arguments):
                self.refused(2, pattern, "generate", "--model", GOLDEN, *arguments, "--print-tokens")

    def test_a_checkpoint_of_another_model(self):
        save = self.folder / "save"
        self.train(save, "--training.train_iters=1")
        self.refused(2, r"step-00000001 is of another model: .*num_layers", "train", self.config, f"--training.save={save}",
                     "--model.num_layers=3")
        weights = next(latest(save).glob("weights-*"))
        os.truncate(weights, weights.stat().st_size - 4)
        self.refused(2, rf"{weights} has .* bytes; by its manifest it must have .*is cut", "train", self.config,
                     f"--training.save={save}")
        self.logits(r"is cut", save)


if __name__ == "__main__":
    unittest.main()
