// Checks the rules that concern several keys at once. The rules of single keys are in the field table.

#include "headwater/base/error.h"
#include "headwater/base/nearest.h"
#include "headwater/config/field_value.h"
#include "headwater/config/load_config.h"
#include "headwater/config/presets.h"
#include "headwater/schedule/schedule_table.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace headwater {
namespace {

void check_section(const FieldSection& section, const RunConfig& run, bool all_given) {
  for (const Field& field : section.fields) {
    if (all_given) check_given(field, run);
    check_value(field, run);
  }
}

void check_data(const RunConfig& run, bool training) {
  const DataConfig& data = run.data;
  for (const auto* list : {&data.train, &data.validation}) {
    for (const WeightedPrefix& part : *list) {
      const char* key = list == &data.train ? "data.train" : "data.validation";
      if (part.prefix.empty())
        throw UserError("{} has an empty prefix; name a .bin/.idx pair without its ending", key);
      if (part.weight <= 0)
        throw UserError("{} gives {} the weight {}; it must be above 0", key, part.prefix, part.weight);
    }
  }
  if (!data.split.empty()) {
    const std::string split = fmt::format("data.split [{}]", fmt::join(data.split, ","));
    if (data.split.size() != 3)
      throw UserError(
          "{} has {} weights; it must have three, for training, validation and test, such as [98,1,1]", split,
          data.split.size());
    for (const double weight : data.split)
      if (weight < 0) throw UserError("{} has the weight {}; each must be at least 0", split, weight);
    if (data.split[0] <= 0)
      throw UserError("{} leaves nothing to train on; its first weight must be above 0", split);
  }
  if (data.eod >= run.model.vocab_size)
    throw UserError("data.eod is {}; it must be below model.vocab_size, {}", data.eod, run.model.vocab_size);
  const bool needs_eod =
      data.reset_position_ids || data.reset_attention_mask || data.reset_lfa || data.eod_mask_loss;
  if (training && needs_eod && data.eod < 0 && data.tokenizer.empty())
    throw UserError(
        "data.reset_position_ids, reset_attention_mask, reset_lfa and eod_mask_loss go by the token that "
        "ends a document; give data.eod or data.tokenizer");
}

void check_rampup(const TrainingConfig& training) {
  const std::vector<std::int64_t>& ramp = training.rampup_batch_size;
  if (ramp.empty()) return;
  const std::string key = fmt::format("training.rampup_batch_size is [{}]", fmt::join(ramp, ","));
  if (ramp.size() != 3)
    throw UserError("{}: it must have three numbers, start, increment and samples, such as [16,16,300000]",
                    key);
  for (const std::int64_t number : ramp)
    if (number < 1) throw UserError("{}: each of the three must be at least 1", key);
  const std::int64_t full = training.global_batch_size, start = ramp[0], increment = ramp[1];
  if (full == 0)
    throw UserError("{}: training.global_batch_size must be given, as the size that it ends at", key);
  if (start > full)
    throw UserError("{}: its start must be at most training.global_batch_size, {}", key, full);
  const std::int64_t growth = full - start;
  if (growth % increment != 0)
    throw UserError(
        "{}: its increment must divide {}, training.global_batch_size {} less the start, such as {}", key,
        growth, full, nearest_divisor(increment, growth));
}

void check_training(const RunConfig& run) {
  check_rampup(run.training);
  const TrainingConfig& training = run.training;
  const std::int64_t global = training.global_batch_size, micro = training.micro_batch_size;
  if (global % micro != 0)
    throw UserError(
        "training.global_batch_size is {}; it must be a multiple of micro_batch_size, {}, such as {}", global,
        micro, nearest_multiple(global, micro));
  if (micro * training.seq_length > std::numeric_limits<std::int32_t>::max())
    throw UserError(
        "training.micro_batch_size {} × training.seq_length {} is more than 2147483647 tokens; "
        "training.micro_batch_size must be at most {}",
        micro, training.seq_length, std::numeric_limits<std::int32_t>::max() / training.seq_length);
  if (run.model.max_position_embeddings > 0 && training.seq_length > run.model.max_position_embeddings)
    throw UserError("training.seq_length is {}; it must be at most model.max_position_embeddings, {}",
                    training.seq_length, run.model.max_position_embeddings);
  const bool can_evaluate =
      !run.data.validation.empty() || (run.data.split.size() == 3 && run.data.split[1] > 0);
  if (training.eval_interval > 0 && !can_evaluate)
    throw UserError(
        "training.eval_interval is {}, but there is nothing to evaluate on; give data.validation, a second "
        "weight above 0 in data.split, or training.eval_interval 0",
        training.eval_interval);
}

void check_optimizer(const OptimizerConfig& optimizer, std::int64_t train_iters) {
  if (optimizer.min_lr > optimizer.lr)
    throw UserError("optimizer.min_lr is {}; it must be at most optimizer.lr, {}", optimizer.min_lr,
                    optimizer.lr);
  const std::string& style = optimizer.lr_decay_style;
  if (style == "constant" || style == "inverse-square-root") return;
  const std::int64_t decay = optimizer.lr_decay_iters > 0 ? optimizer.lr_decay_iters : train_iters;
  const char* decay_key = optimizer.lr_decay_iters > 0 ? "optimizer.lr_decay_iters" : "training.train_iters";
  const std::int64_t longest = style == "wsd" ? decay - 1 : decay;  // wsd decays for at least one step
  if (optimizer.lr_warmup_iters > longest)
    throw UserError("optimizer.lr_warmup_iters is {}; with {} {} and lr_decay_style {} it must be at most {}",
                    optimizer.lr_warmup_iters, decay_key, decay, style, longest);
  if (style != "wsd") return;
  const std::int64_t room = decay - optimizer.lr_warmup_iters;
  if (optimizer.lr_wsd_decay_iters < 1 || optimizer.lr_wsd_decay_iters > room)
    throw UserError(
        "optimizer.lr_wsd_decay_iters is {}; with lr_decay_style wsd it must be 1 to {} ({} less "
        "optimizer.lr_warmup_iters)",
        optimizer.lr_wsd_decay_iters, room, decay_key);
}

}  // namespace

void validate_model(const ModelConfig& given) {
  RunConfig run;
  run.model = given;
  if (given.family.empty() && given.num_layers == 0)
    throw UserError(
        "the model section says no model; give model.preset ({}), model.family with its sizes, or "
        "training.init_from",
        fmt::join(preset_names(), ", "));
  check_section(*find_section("model"), run, true);
  const std::int64_t heads = given.num_attention_heads;
  if (given.kv_channels == 0 && given.hidden_size % heads != 0)
    throw UserError(
        "model.hidden_size is {}; it must be a multiple of model.num_attention_heads, {}, such as {}, unless "
        "model.kv_channels is given",
        given.hidden_size, heads, nearest_multiple(given.hidden_size, 2 * heads));
  const ModelConfig model = resolved(given, 0);
  if (heads % model.num_query_groups != 0)
    throw UserError("model.num_query_groups is {}; it must divide model.num_attention_heads, {}, such as {}",
                    model.num_query_groups, heads, std::gcd(heads, model.num_query_groups));
  if (model.kv_channels % 2 != 0)
    throw UserError(
        "the size of a head is {} (model.kv_channels, or hidden_size / num_attention_heads); it must be "
        "even, as rotary positions turn pairs, such as {}",
        model.kv_channels, model.kv_channels + 1);
  if (model.lfa && model.hidden_size % 2 != 0)
    throw UserError("model.hidden_size is {}; with model.lfa it must be even, such as {}", model.hidden_size,
                    model.hidden_size + 1);
}

void validate(const RunConfig& run, bool training) {
  validate_model(run.model);
  for (const FieldSection& section : field_table())
    if (section.name != "model") check_section(section, run, training);
  check_num_chunks(schedule_kind(run.parallel.pipeline_schedule), resolved(run.parallel).num_chunks);
  check_data(run, training);
  if (!training) return;
  check_training(run);
  check_optimizer(run.optimizer, run.training.train_iters);
}

ModelConfig resolved(ModelConfig model, std::int64_t seq_length) {
  if (model.ffn_hidden_size == 0) model.ffn_hidden_size = 4 * model.hidden_size;
  if (model.num_query_groups == 0) model.num_query_groups = model.num_attention_heads;
  if (model.kv_channels == 0 && model.num_attention_heads > 0)
    model.kv_channels = model.hidden_size / model.num_attention_heads;
  if (model.max_position_embeddings == 0) model.max_position_embeddings = seq_length;
  return model;
}

ParallelConfig resolved(ParallelConfig parallel) {
  if (parallel.num_chunks == 0)
    parallel.num_chunks = schedule_kind(parallel.pipeline_schedule).default_chunks;
  return parallel;
}

}  // namespace headwater
