#include "headwater/config/load_config.h"

#include "headwater/base/file.h"
#include "headwater/config/field_value.h"
#include "headwater/config/json_text.h"
#include "tests/config/refusal.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace headwater {
namespace {

using nlohmann::json;
using test::expect_says;
using test::refusal;

RunConfig with(const std::vector<std::string>& overrides) { return load_config("", overrides).run; }
std::string refused(const std::string& override_text) {
  return refusal([&] { load_config("", {override_text}); });
}

TEST(LoadConfig, DefaultsAreTheStructs) {
  const LoadedConfig config = load_config("", {});
  EXPECT_EQ(config.run, RunConfig{});
  for (const FieldSection& section : field_table()) {
    EXPECT_FALSE(config.section_given(section.name));
    for (const Field& field : section.fields) EXPECT_EQ(config.origin.at(field.key()), "default");
  }
}

TEST(LoadConfig, PrecedenceAndOrigins) {
  const json file = {{"model", {{"preset", "yuan2-2.1b"}, {"num_layers", 3}}},
                     {"training", {{"seed", 5}, {"keep", 2}}}};
  const LoadedConfig config =
      parse_config(file, "run.json", {"--training.seed=6", "training.seed=7", "--model.vocab_size=9"});
  EXPECT_EQ(config.run.model.num_layers, 3);      // the file over the preset
  EXPECT_EQ(config.run.model.hidden_size, 2048);  // the preset over the default
  EXPECT_EQ(config.run.model.vocab_size, 9);      // the command line over the preset
  EXPECT_EQ(config.run.training.seed, 7);         // the last on the command line, over the file
  EXPECT_EQ(config.run.training.keep, 2);
  EXPECT_EQ(config.origin.at("model.num_layers"), "run.json");
  EXPECT_EQ(config.origin.at("model.hidden_size"), "preset yuan2-2.1b");
  EXPECT_EQ(config.origin.at("model.vocab_size"), "command line");
  EXPECT_EQ(config.origin.at("training.seed"), "command line");
  EXPECT_EQ(config.origin.at("training.log_interval"), "default");
  EXPECT_TRUE(config.given("training.keep"));
  EXPECT_FALSE(config.given("training.save"));
  EXPECT_TRUE(config.section_given("model"));
  EXPECT_FALSE(config.section_given("optimizer"));
}

TEST(LoadConfig, PresetOfTheCommandLineLiesUnderTheFile) {
  const json file = {{"model", {{"preset", "yuan2-2.1b"}, {"hidden_size", 256}}}};
  const ModelConfig model = parse_config(file, "run.json", {"--model.preset=yuan2-tiny"}).run.model;
  EXPECT_EQ(model.preset, "yuan2-tiny");
  EXPECT_EQ(model.num_layers, 4);
  EXPECT_EQ(model.hidden_size, 256);
  EXPECT_EQ(model.vocab_size, 512);
}

TEST(LoadConfig, EveryTypeIsRead) {
  const RunConfig run =
      with({"--data.shuffle=false", "--training.seed=1e3", "--training.keep=4.0", "--optimizer.lr=1",
            "--training.save=some/folder", "--data.split=[98,1.5,0.5]", "--data.tokenizer=\"bytes\"",
            "--parallel.pipeline_layout=[2,1.0,1e0]", "--training.load="});
  EXPECT_FALSE(run.data.shuffle);
  EXPECT_EQ(run.training.seed, 1000);
  EXPECT_EQ(run.training.keep, 4);
  EXPECT_EQ(run.optimizer.lr, 1.0);
  EXPECT_EQ(run.training.save, "some/folder");
  EXPECT_EQ(run.data.tokenizer, "bytes");
  EXPECT_EQ(run.data.split, (std::vector<double>{98, 1.5, 0.5}));
  EXPECT_FALSE(run.parallel.pipeline_layout.uniform);
  EXPECT_EQ(run.parallel.pipeline_layout.layers, (std::vector<std::int64_t>{2, 1, 1}));
  EXPECT_TRUE(with({"--parallel.pipeline_layout=[1]", "--parallel.pipeline_layout=uniform"})
                  .parallel.pipeline_layout.uniform);
}

TEST(LoadConfig, RecomputationIsAWordOrAListOfWordsAndNumbers) {
  using Entries = std::vector<RecomputeLayout::Entry>;
  EXPECT_EQ(with({"--parallel.recompute=selective"}).parallel.recompute, (RecomputeLayout{"selective", {}}));
  const RunConfig run = with({R"(--parallel.recompute=["full",2,"none",0.0])"});
  EXPECT_EQ(run.parallel.recompute.stages,
            (Entries{std::string("full"), std::int64_t{2}, std::string("none"), std::int64_t{0}}));
  EXPECT_EQ(to_json(run)["parallel"]["recompute"], (json{"full", 2, "none", 0}));
  EXPECT_EQ(to_json(RunConfig{})["parallel"]["recompute"], "none");
}

TEST(LoadConfig, DataIsAPrefixOrAList) {
  using List = std::vector<WeightedPrefix>;
  EXPECT_EQ(with({"--data.train=a/b"}).data.train, (List{{"a/b", 1.0}}));
  EXPECT_EQ(with({R"(--data.train=["a","b"])"}).data.train, (List{{"a", 1.0}, {"b", 1.0}}));
  EXPECT_EQ(with({R"(--data.train=[{"prefix":"a","weight":3},{"prefix":"b"},"c"])"}).data.train,
            (List{{"a", 3.0}, {"b", 1.0}, {"c", 1.0}}));
  EXPECT_EQ(with({"--data.train="}).data.train, List{});
}

TEST(LoadConfig, WrongTypesNameKeyValueAndWhatIsRight) {
  const struct {
    const char *override_text, *found, *right;
  } cases[] = {
      {"--training.train_iters=many", "training.train_iters is \"many\" (text)", "a whole number"},
      {"--training.train_iters=2.5", "2.5 (a number with a point or exponent)", "a whole number"},
      {"--training.train_iters=1e300", "1e+300", "a whole number"},
      {"--training.seed=18446744073709551615", "18446744073709551615 (a number)", "a whole number"},
      {"--training.seed=true", "true (true or false)", "a whole number"},
      {"--data.shuffle=1", "data.shuffle is 1 (a number)", "true or false"},
      {"--data.shuffle=False", "data.shuffle is \"False\" (text)", "true or false"},
      {"--optimizer.lr=fast", "optimizer.lr is \"fast\" (text)", "a number, above 0"},
      {"--optimizer.lr=null", "null", "a number"},
      {"--training.save=12", "training.save is 12 (a number)", "text"},
      {"--training.dtype=[1]", "training.dtype is [1] (a list)", "one of auto, bf16, fp32"},
      {"--data.split=1,2,3", "data.split is \"1,2,3\" (text)", "a list of numbers"},
      {"--data.split=[1,\"a\"]", "(a list)", "a list of numbers"},
      {"--training.rampup_batch_size=16", "16 (a number)", "a list of whole numbers"},
      {"--training.rampup_batch_size=[1.5,1,1]", "[1.5,1,1] (a list)", "a list of whole numbers"},
      {"--parallel.pipeline_layout=even", "\"even\" (text)", "\"uniform\" or a list of layer counts"},
      {"--parallel.pipeline_layout=[]", "[] (a list)", "\"uniform\" or a list of layer counts"},
      {"--parallel.pipeline_layout=[1.5]", "[1.5]", "\"uniform\" or a list of layer counts"},
      {"--data.train=3", "data.train is 3 (a number)", "a prefix"},
      {R"(--data.train=[{"prefix":"a","weigth":1}])", "weigth", "\"weight\": 1"},
      {R"(--data.train=[{"weight":1}])", "(a list)", "\"prefix\""},
      {R"(--data.train=[{"prefix":"a","weight":"b"}])", "(a list)", "a prefix"},
      {"--parallel.recompute=all", "parallel.recompute is \"all\" (text)",
       "\"selective\", \"full\", or a list"},
      {"--parallel.recompute=2", "parallel.recompute is 2 (a number)", "such as [\"full\",2]"},
      {"--parallel.recompute=[]", "parallel.recompute is [] (a list)", "one per virtual stage"},
      {"--parallel.recompute=[\"full\",\"some\"]", "the entry of stage 1 is \"some\"",
       "or a number of layers"},
      {"--parallel.recompute=[-1,2]", "the entry of stage 0 is -1", "or a number of layers"},
      {"--parallel.recompute=[2,1.5]", "the entry of stage 1 is 1.5", "\"selective\""},
  };
  for (const auto& wrong : cases) {
    const std::string message = refused(wrong.override_text);
    expect_says(message, wrong.found);
    expect_says(message, wrong.right);
    expect_says(message, "on the command line");
  }
  expect_says(refusal([] { parse_config({{"data", {{"shuffle", 1}}}}, "run.json", {}); }), "in run.json");
}

TEST(LoadConfig, EveryFieldRefusesAnObject) {
  for (const FieldSection& section : field_table())
    for (const Field& field : section.fields)
      expect_says(refused("--" + field.key() + "={}"), field.key() + " is {} (an object)");
}

TEST(LoadConfig, UnknownKeysNameTheNearest) {
  const struct {
    const char *override_text, *nearest;
  } cases[] = {
      {"--training.micro_batchsize=1", "training.micro_batch_size"},
      {"--training.micro-batch-size=1", "training.micro_batch_size"},
      {"--trainning.seed=1", "training.seed"},
      {"--optimiser.adam_beta_1=1", "optimizer.adam_beta1"},
      {"--training.lr=1", "optimizer.lr"},
      {"--model.seq_length=1", "training.seq_length"},
      {"--data.micro_batchsize=1", "training.micro_batch_size"},
      {"--seed=1", "training.seed"},
      {"--paralel.pipeline_layuot=[1]", "parallel.pipeline_layout"},
  };
  for (const auto& unknown : cases) expect_says(refused(unknown.override_text), unknown.nearest);
  expect_says(refused("--training.lr=1"), "belongs to another section");

  const auto in_file = [](const json& file) { return refusal([&] { parse_config(file, "run.json", {}); }); };
  expect_says(in_file({{"training", {{"sede", 1}}}}), "unknown key training.sede in run.json");
  expect_says(in_file({{"training", {{"sede", 1}}}}), "training.seed");
  expect_says(in_file({{"optimiser", {{"lr", 1}}}}), "the nearest is optimizer");
  expect_says(in_file({{"lr", 1}}), "write optimizer.lr");
  expect_says(in_file({{"model", 3}}), "section model in run.json must be an object");
  expect_says(in_file(json::array()), "run.json must hold an object of sections");
}

TEST(LoadConfig, OverridesNeedAValue) {
  expect_says(refused("--training.seed"), "--training.seed has no value; write --section.key=value");
  expect_says(refused(std::string("--training.save=\xff")), "not valid UTF-8");
}

TEST(LoadConfig, PresetThatDoesNotExist) {
  const std::string message = refused("--model.preset=yuan2-3b");
  expect_says(message, "yuan2-3b");
  expect_says(message, "yuan2-2.1b");
}

TEST(JsonText, CommentsYesDuplicatesNo) {
  EXPECT_EQ(parse_json_text("{ // why\n \"a\": 1 }", "x.json"), json({{"a", 1}}));
  expect_says(refusal([] {
                parse_json_text(R"({"training": {"seed": 1, "keep": {"seed": 1}, "seed": 2}})", "x.json");
              }),
              "x.json: the key training.seed appears twice");
  expect_says(refused(R"(--data.train=[{"prefix":"a","prefix":"b"}])"), "the key prefix appears twice");
}

TEST(JsonText, ErrorsNameLineAndColumn) {
  expect_says(refusal([] { parse_json_text("{\"a\": 1,\n // c\n  \"b\" 2}", "x.json"); }), "x.json:3:7: ");
  expect_says(refusal([] { parse_json_text("", "x.json"); }), "x.json:1:1: ");
  expect_says(refusal([] { parse_json_text("{\n\"a\": tru}", "x.json"); }), "x.json:2:");
  expect_says(refusal([] { parse_json_text("{\"a\": \"\xff\"}", "x.json"); }), "x.json:1:");
  expect_says(refusal([] { parse_json_text("{\"a\": 1e999}", "x.json"); }), "x.json: ");
}

TEST(LoadConfig, FileIsReadAndNamed) {
  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "load_config_test.json";
  write_text_atomically(path, "{ // a comment\n \"training\": {\"seed\": 3} }");
  const LoadedConfig config = load_config(path, {});
  EXPECT_EQ(config.run.training.seed, 3);
  EXPECT_EQ(config.origin.at("training.seed"), path.string());
  remove_all(path);
  expect_says(refusal([&] { load_config(path, {}); }), path.string());
}

TEST(ConfigJson, RoundTrip) {
  RunConfig run = with({"--model.preset=yuan2-51b", "--parallel.pipeline_layout=[1,2]", "--data.train=a",
                        R"(--data.validation=[{"prefix":"v","weight":0.25},"w"])", "--data.split=[1,2,3]",
                        "--optimizer.lr=0.1", "--training.rampup_batch_size=[16,8,300000]",
                        "--training.save=\"f\\\"g\""});
  EXPECT_EQ(parse_config(json::parse(to_json(run).dump()), "manifest", {}).run, run);
  EXPECT_EQ(to_json(run)["data"]["train"], "a");
  EXPECT_EQ(to_json(RunConfig{})["parallel"]["pipeline_layout"], "uniform");
  EXPECT_EQ(model_from_json(to_json(run.model), "manifest"), run.model);
}

TEST(ConfigJson, ModelOfAManifestIsTakenAsWritten) {
  json section = to_json(with({"--model.preset=yuan2-tiny"}).model);
  section["num_layers"] = 1;
  section.erase(
      "hidden_size");  // the preset is only a name here: what the manifest does not say is the default
  const ModelConfig model = model_from_json(section, "manifest.json");
  EXPECT_EQ(model.num_layers, 1);
  EXPECT_EQ(model.hidden_size, 0);
  section["hiden_size"] = 1;
  expect_says(refusal([&] { model_from_json(section, "manifest.json"); }),
              "manifest.json; the nearest known key is model.hidden_size");
}

}  // namespace
}  // namespace headwater
