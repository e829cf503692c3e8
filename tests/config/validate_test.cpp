#include "headwater/config/field_table.h"
#include "headwater/config/load_config.h"
#include "headwater/schedule/schedule_table.h"
#include "tests/config/refusal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace headwater {
namespace {

using test::expect_says;
using test::refusal;

// Returns a valid run with some keys changed.
RunConfig run_with(std::vector<std::string> changes) {
  std::vector<std::string> overrides = {"model.preset=yuan2-tiny", "data.train=corpus",
                                        "training.seq_length=64", "training.train_iters=100",
                                        "optimizer.lr=0.001"};
  overrides.insert(overrides.end(), changes.begin(), changes.end());
  return load_config("", overrides).run;
}

TEST(Validate, AcceptsWhatIsRight) {
  std::vector<std::vector<std::string>> cases = {
      {},
      {"model.num_query_groups=2"},                             // grouped queries
      {"model.kv_channels=24", "model.num_attention_heads=5"},  // A·D need not be H
      {"parallel.pipeline_model_parallel_size=2"},
      {"parallel.pipeline_model_parallel_size=3", "parallel.pipeline_layout=[0,3,1]"},
      {"parallel.pipeline_model_parallel_size=6", "parallel.pipeline_layout=[0,1,1,1,1,0]"},
      {"parallel.pipeline_schedule=interleaved", "parallel.num_chunks=1"},
      {"parallel.pipeline_schedule=interleaved", "parallel.num_chunks=3"},
      {"parallel.lfa_sharding=channels"},  // no effect on one tensor rank
      {"training.micro_batch_size=4", "training.global_batch_size=12"},
      {"training.eval_interval=5", "data.validation=other"},
      {"training.eval_interval=5", "data.split=[9,1,0]"},
      {"model.max_position_embeddings=64"},
      {"model.norm=layernorm"},
      {"model.mlp=gelu_tanh"},
      {"optimizer.lr_decay_style=cosine", "optimizer.lr_warmup_iters=100", "optimizer.min_lr=0.001"},
      {"optimizer.lr_decay_style=wsd", "optimizer.lr_wsd_decay_iters=90", "optimizer.lr_warmup_iters=10"},
      {"optimizer.lr_warmup_iters=1000"},  // constant: nothing to collide with
      {"optimizer.lr_decay_style=cosine", "optimizer.lr_warmup_iters=200", "optimizer.lr_decay_iters=300"},
      {"data.reset_lfa=true", "data.eod=0"},
      {"data.reset_lfa=true", "data.tokenizer=bytes"},
      {"model.lfa=false", "model.hidden_size=63", "model.num_attention_heads=1", "model.kv_channels=2"},
      {"optimizer.clip_grad=0", "optimizer.weight_decay=0"},
  };
  for (const ScheduleKind& kind : schedule_kinds()) {
    const std::string schedule = fmt::format("parallel.pipeline_schedule={}", kind.name);
    cases.push_back({schedule});
    cases.push_back({schedule, fmt::format("parallel.num_chunks={}", kind.default_chunks)});
  }
  for (const auto& changes : cases)
    EXPECT_NO_THROW(validate(run_with(changes))) << testing::PrintToString(changes);
}

TEST(Validate, WhatIsNotBuiltYetIsRefusedByName) {
  const struct {
    const char *change, *key, *says;
  } cases[] = {
      {"model.family=gpt2", "model.family", "gpt2"},
      {"model.family=opt", "model.family", "opt"},
      {"model.family=llama", "model.family", "llama"},
  };
  for (const auto& later : cases) {
    const std::string message = refusal([&] { validate(run_with({later.change})); });
    expect_says(message, later.key);
    expect_says(message, later.says);
    expect_says(message, "not built yet");
  }
}

TEST(Validate, RulesSayWhichValueWouldWork) {
  const struct {
    std::vector<std::string> changes;
    const char *found, *right;
  } cases[] = {
      {{"model.num_layers=0"}, "model.num_layers", "1 to"},
      {{"model.num_layers=-1"}, "model.num_layers is -1", "1 to"},
      {{"model.vocab_size=0"}, "model.vocab_size", "1 to"},
      {{"model.family=yuan3"}, "model.family is \"yuan3\"", "yuan2"},
      {{"model.family="}, "model.family is missing or empty", "yuan2"},
      {{"model.num_attention_heads=6"}, "model.hidden_size is 128", "such as 132"},
      {{"model.num_query_groups=3"}, "model.num_query_groups is 3", "such as 1"},
      {{"model.num_query_groups=8"}, "model.num_query_groups is 8", "such as 4"},
      {{"model.kv_channels=7"}, "the size of a head is 7", "such as 8"},
      {{"model.hidden_size=63", "model.kv_channels=2"}, "model.hidden_size is 63", "such as 64"},
      {{"model.attention_dropout=1"}, "model.attention_dropout is 1", "at least 0 and below 1"},
      {{"model.hidden_dropout=-0.5"}, "model.hidden_dropout is -0.5", "at least 0 and below 1"},
      {{"model.rotary_base=1"}, "model.rotary_base is 1", "above 1"},
      {{"model.norm=batchnorm"}, "model.norm is \"batchnorm\"", "one of rmsnorm, layernorm"},
      {{"model.mlp=silu"}, "model.mlp is \"silu\"", "one of swiglu, gelu, gelu_tanh, relu"},
      {{"model.norm_epsilon=0"}, "model.norm_epsilon is 0", "above 0"},
      {{"parallel.pipeline_schedule=2f1b"}, "parallel.pipeline_schedule is \"2f1b\"", "one of 1f1b"},
      {{"parallel.num_chunks=2"}, "parallel.num_chunks is 2", "1f1b takes 1"},
      {{"parallel.num_chunks=-1"}, "parallel.num_chunks is -1", "0 to"},
      {{"parallel.pipeline_schedule=zb-v", "parallel.num_chunks=1"},
       "parallel.num_chunks is 1",
       "zb-v takes 2"},
      {{"parallel.pipeline_model_parallel_size=0"}, "pipeline_model_parallel_size is 0", "1 to"},
      {{"data.train="}, "data.train is missing or empty", "a prefix"},
      {{R"(data.train=[{"prefix":"a","weight":0}])"}, "the weight 0", "above 0"},
      {{R"(data.validation=["a",""])"}, "data.validation has an empty prefix", "without its ending"},
      {{"data.split=[1,1]"}, "has 2 weights", "three"},
      {{"data.split=[1,-1,0]"}, "the weight -1", "at least 0"},
      {{"data.split=[0,1,0]"}, "nothing to train on", "above 0"},
      {{"data.eod=512"}, "data.eod is 512", "below model.vocab_size, 512"},
      {{"data.eod=-2"}, "data.eod is -2", "-1 to"},
      {{"data.reset_position_ids=true"}, "data.reset_position_ids", "give data.eod or data.tokenizer"},
      {{"training.micro_batch_size=0"}, "training.micro_batch_size is 0", "1 to"},
      {{"training.micro_batch_size=4", "training.global_batch_size=10"},
       "global_batch_size is 10",
       "such as 12"},
      {{"training.rampup_batch_size=[2,2]"}, "[2,2]", "three numbers, start, increment and samples"},
      {{"training.rampup_batch_size=[2,0,10]"}, "[2,0,10]", "at least 1"},
      {{"training.rampup_batch_size=[2,2,10]"},
       "training.global_batch_size must be given",
       "the size that it ends at"},
      {{"training.rampup_batch_size=[8,2,10]", "training.global_batch_size=4"},
       "[8,2,10]",
       "at most training.global_batch_size, 4"},
      {{"training.rampup_batch_size=[2,4,10]", "training.global_batch_size=12"},
       "must divide 10",
       "such as 5"},
      {{"training.exit_duration_in_mins=-1"}, "training.exit_duration_in_mins is -1", "at least 0"},
      {{"training.seq_length=0"}, "training.seq_length is missing or 0", "1 to"},
      {{"training.seq_length=2000000000", "training.micro_batch_size=2"}, "2147483647 tokens", "at most 1"},
      {{"training.seq_length=65", "model.max_position_embeddings=64"},
       "training.seq_length is 65",
       "at most"},
      {{"training.train_iters=0"}, "training.train_iters is missing or 0", "1 to"},
      {{"training.dtype=fp16"}, "training.dtype is \"fp16\"", "one of auto, bf16, fp32"},
      {{"training.dtype="}, "training.dtype is \"\"", "one of auto, bf16, fp32"},
      {{"training.eval_interval=10"}, "nothing to evaluate on", "data.validation"},
      {{"training.eval_interval=10", "data.split=[1,0,0]"}, "nothing to evaluate on", "second weight"},
      {{"training.comm_timeout_s=0"}, "training.comm_timeout_s is 0", "above 0"},
      {{"training.max_bad_steps=0"}, "training.max_bad_steps is 0", "at least 1"},
      {{"training.log_interval=0"}, "training.log_interval is 0", "at least 1"},
      {{"optimizer.lr=0"}, "optimizer.lr is missing or 0", "above 0"},
      {{"optimizer.lr=-1"}, "optimizer.lr is -1", "above 0"},
      {{"optimizer.min_lr=0.01"}, "optimizer.min_lr is 0.01", "at most optimizer.lr, 0.001"},
      {{"optimizer.adam_beta1=1"}, "optimizer.adam_beta1 is 1", "below 1"},
      {{"optimizer.adam_beta2=-0.1"}, "optimizer.adam_beta2 is -0.1", "at least 0"},
      {{"optimizer.adam_eps=0"}, "optimizer.adam_eps is 0", "above 0"},
      {{"optimizer.clip_grad=-1"}, "optimizer.clip_grad is -1", "at least 0"},
      {{"optimizer.lr_decay_style=cosin"}, "\"cosin\"", "constant, linear, cosine, wsd, inverse-square-root"},
      {{"optimizer.lr_decay_style=linear", "optimizer.lr_warmup_iters=101"},
       "lr_warmup_iters is 101",
       "at most 100"},
      {{"optimizer.lr_decay_style=wsd"}, "optimizer.lr_wsd_decay_iters is 0", "1 to 100"},
      {{"optimizer.lr_decay_style=wsd", "optimizer.lr_wsd_decay_iters=95", "optimizer.lr_warmup_iters=10"},
       "optimizer.lr_wsd_decay_iters is 95",
       "1 to 90"},
      {{"optimizer.lr_decay_style=wsd", "optimizer.lr_wsd_decay_iters=1", "optimizer.lr_warmup_iters=100"},
       "lr_warmup_iters is 100",
       "at most 99"},
  };
  for (const auto& wrong : cases) {
    const std::string message = refusal([&] { validate(run_with(wrong.changes)); });
    expect_says(message, wrong.found);
    expect_says(message, wrong.right);
  }
}

TEST(Validate, RequiredKeysAreAskedForByName) {
  expect_says(refusal([] { validate(RunConfig{}); }), "model.preset");
  RunConfig complete = run_with({});
  for (const FieldSection& section : field_table()) {
    for (const Field& field : section.fields) {
      if (!field.rule.required) continue;
      RunConfig run = complete;
      std::visit([](auto* value) { *value = {}; }, field.locate(run));
      expect_says(refusal([&] { validate(run); }), field.key());
    }
  }
}

TEST(Validate, WithoutTrainingOnlyTheModelIsRequired) {
  const RunConfig run = load_config("", {"model.preset=yuan2-tiny", "data.reset_lfa=true"}).run;
  EXPECT_NO_THROW(validate(run, false));
  expect_says(refusal([&] { validate(run); }), "is missing");
  const RunConfig wrong = load_config("", {"model.preset=yuan2-tiny", "training.dtype=fp8"}).run;
  expect_says(refusal([&] { validate(wrong, false); }), "training.dtype");
}

TEST(Resolved, FillsInWhatZeroStandsFor) {
  const ModelConfig model = resolved(run_with({}).model, 64);
  EXPECT_EQ(model.ffn_hidden_size, 512);
  EXPECT_EQ(model.num_query_groups, 4);
  EXPECT_EQ(model.kv_channels, 32);
  EXPECT_EQ(model.max_position_embeddings, 64);
  EXPECT_EQ(resolved(model, 32), model);
}

}  // namespace
}  // namespace headwater
