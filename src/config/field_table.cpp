#include "headwater/config/field_table.h"

#include "headwater/config/block_kinds.h"
#include "headwater/config/presets.h"
#include "headwater/schedule/schedule_table.h"

#include <fmt/format.h>

#include <map>

namespace headwater {
namespace {

constexpr double kInt32Max = 2147483647;  // tokens, positions and indices into a micro-batch are int32
constexpr double kSizeMax = 1 << 24;      // keeps every product of sizes inside int64

// Collects the rows of one section, so that each row is just name, member, meaning and rule.
template <class Section>
class Rows {
 public:
  Rows(std::string name, std::string description, Section RunConfig::*section)
      : table_{std::move(name), std::move(description), {}}, section_(section) {}

  template <class T>
  void operator()(std::string name, T Section::*member, std::string description, FieldRule rule = {}) {
    auto locate = [section = section_, member](RunConfig& run) {
      return FieldPointer(&(run.*section.*member));
    };
    table_.fields.push_back({table_.name, std::move(name), std::move(description), std::move(rule), locate});
  }
  FieldSection take() { return std::move(table_); }

 private:
  FieldSection table_;
  Section RunConfig::*section_;
};

FieldSection model_section() {
  using C = ModelConfig;
  Rows row("model", "The shape of the model: a preset, or a family with its sizes (what is required then).",
           &RunConfig::model);
  row("preset", &C::preset, "a named shape; every other key of this section overrides it",
      {.choices = preset_names(), .note = "empty: no preset"});
  row("family", &C::family, "the kind of block",
      {.choices = {"yuan2", "gpt2", "opt", "llama"},
       .built = {"yuan2"},
       .feature = "this family",
       .required = true});
  row("num_layers", &C::num_layers, "transformer layers (L)", {.min = 1, .max = kSizeMax, .required = true});
  row("hidden_size", &C::hidden_size, "width of the residual stream (H)",
      {.min = 1, .max = kSizeMax, .required = true});
  row("ffn_hidden_size", &C::ffn_hidden_size, "inner width of the MLP (F)",
      {.min = 0, .max = kSizeMax, .note = "0: 4·H"});
  row("num_attention_heads", &C::num_attention_heads, "query heads (A)",
      {.min = 1, .max = kSizeMax, .required = true});
  row("num_query_groups", &C::num_query_groups, "key and value heads (G); divides A",
      {.min = 0, .max = kSizeMax, .note = "0: A"});
  row("kv_channels", &C::kv_channels, "size of one head (D); even",
      {.min = 0, .max = kSizeMax, .note = "0: H / A"});
  row("vocab_size", &C::vocab_size, "tokens of the vocabulary (V), without padding",
      {.min = 1, .max = kInt32Max, .required = true});
  row("make_vocab_size_divisible_by", &C::make_vocab_size_divisible_by,
      "the vocabulary is padded in memory to a multiple of this times the tensor-parallel size",
      {.min = 1, .max = kSizeMax});
  row("max_position_embeddings", &C::max_position_embeddings, "longest sequence, in tokens",
      {.min = 0, .max = kInt32Max, .note = "0: training.seq_length"});
  row("rotary_base", &C::rotary_base, "base of the rotary position angles", {.above = 1});
  row("norm", &C::norm, "the kind of all norms", {.choices = words_of(kNormWords)});
  row("norm_epsilon", &C::norm_epsilon, "added under the root inside a norm", {.above = 0});
  row("init_method_std", &C::init_method_std, "standard deviation of the initial weights", {.above = 0});
  row("untie_embeddings_and_output_weights", &C::untie_embeddings_and_output_weights,
      "give the head its own weight instead of the embedding's");
  row("lfa", &C::lfa, "localized filtering of the input of queries and keys (docs/lfa.md)");
  row("mlp", &C::mlp,
      "what an MLP does between its products: silu(gate) times up; or GELU, its approximation by tanh, or "
      "ReLU of up alone",
      {.choices = words_of(kMlpWords)});
  row("attention_dropout", &C::attention_dropout, "share of attention probabilities dropped in training",
      {.min = 0, .below = 1});
  row("hidden_dropout", &C::hidden_dropout, "share of each residual branch's output dropped in training",
      {.min = 0, .below = 1});
  return row.take();
}

// Says what num_chunks 0 stands for, such as "0: 2 for a, b and c, else 1".
std::string default_chunks_note() {
  std::map<int, std::vector<std::string_view>> names;  // by default_chunks
  for (const ScheduleKind& kind : schedule_kinds()) names[kind.default_chunks].push_back(kind.name);
  names.erase(1);
  std::string note = "0: ";
  for (const auto& [chunks, kinds] : names) {
    note += fmt::format("{} for ", chunks);
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      if (i > 0) note += i + 1 == kinds.size() ? " and " : ", ";
      note += kinds[i];
    }
    note += ", ";
  }
  return note + "else 1";
}

FieldSection parallel_section() {
  using C = ParallelConfig;
  Rows row("parallel", "How the ranks share the model. The data-parallel size is what is left of the ranks.",
           &RunConfig::parallel);
  row("tensor_model_parallel_size", &C::tensor_model_parallel_size, "ranks that share each layer",
      {.min = 1, .max = kSizeMax});
  row("sequence_parallel", &C::sequence_parallel,
      "split norms and dropout along the sequence among tensor ranks",
      {.note = "no effect on one tensor rank"});
  row("pipeline_model_parallel_size", &C::pipeline_model_parallel_size, "pipeline ranks (P)",
      {.min = 1, .max = kSizeMax});
  row("pipeline_layout", &C::pipeline_layout,
      "\"uniform\" (the count must divide), \"auto\" (what the search finds for parallel.cluster; chosen "
      "once, a resume keeps "
      "it), or layer counts in the order of the model, one per virtual stage "
      "(P × num_chunks of them; 0 at the two ends leaves embedding or head alone)");
  row("pipeline_schedule", &C::pipeline_schedule, "order of forwards and backwards on a pipeline rank",
      {.choices = schedule_names()});
  row("num_chunks", &C::num_chunks, "virtual stages on each pipeline rank",
      {.min = 0, .max = kSizeMax, .note = default_chunks_note()});
  row("use_distributed_optimizer", &C::use_distributed_optimizer,
      "shard master weights and moments over the data-parallel ranks (ZeRO-1)");
  row("ddp_bucket_size", &C::ddp_bucket_size,
      "parameters whose gradients are summed in one transfer, at least; more where a layer has more",
      {.min = 1});
  row("recompute", &C::recompute,
      "what backward computes again instead of keeping it: \"none\", \"selective\" (norms, activation, "
      "attention), \"full\" (each layer from its input), or a list with one entry per virtual stage, each "
      "such a word or a number n (the first n layers in full)");
  row("cluster", &C::cluster,
      "cluster file (docs/formats/cluster.md), for the layout \"auto\" and headwater plan",
      {.note = "empty: equal devices, free links"});
  row("lfa_sharding", &C::lfa_sharding, "how tensor ranks share the filter; no effect on one tensor rank",
      {.choices = {"auto", "channels", "tokens"}});
  return row.take();
}

FieldSection data_section() {
  using C = DataConfig;
  Rows row("data", "What the model reads.", &RunConfig::data);
  row("train", &C::train,
      "training data: the prefix of a .bin/.idx pair, or a list of prefixes or of {prefix, weight}",
      {.required = true});
  row("validation", &C::validation, "validation data, in the same form",
      {.note = "empty: none, or by data.split"});
  row("split", &C::split,
      "weights of training, validation and test over the documents of data.train, in order",
      {.note = "empty: all of it trains; not used where data.validation is given"});
  row("tokenizer", &C::tokenizer, "\"bytes\", or a SentencePiece model file",
      {.note = "empty: none; only token ids can be read and written"});
  row("shuffle", &C::shuffle, "take samples in an order keyed by seed and epoch instead of running order");
  row("eod", &C::eod, "id of the token that ends a document",
      {.min = -1, .max = kInt32Max, .note = "-1: the tokenizer's"});
  row("reset_position_ids", &C::reset_position_ids, "positions restart at each document");
  row("reset_attention_mask", &C::reset_attention_mask, "attention does not reach into an earlier document");
  row("reset_lfa", &C::reset_lfa, "the filter's previous-token taps are zero at a document's first token");
  row("eod_mask_loss", &C::eod_mask_loss, "leave the prediction that follows an eod out of the loss");
  return row.take();
}

FieldSection training_section() {
  using C = TrainingConfig;
  Rows row("training", "Batches, steps, evaluation, checkpoints.", &RunConfig::training);
  row("micro_batch_size", &C::micro_batch_size, "sequences per micro-batch of one data-parallel rank",
      {.min = 1, .max = kSizeMax});
  row("global_batch_size", &C::global_batch_size, "sequences per step, over all ranks",
      {.min = 0, .max = kInt32Max, .note = "0: micro_batch_size × data-parallel size"});
  row("rampup_batch_size", &C::rampup_batch_size,
      "[start, increment, samples]: steps begin with `start` sequences and grow by `increment` to "
      "global_batch_size "
      "while the first `samples` sequences are consumed, in equal parts of them",
      {.note = "empty: global_batch_size from the first step"});
  row("seq_length", &C::seq_length, "tokens per sequence (S)",
      {.min = 1, .max = kInt32Max, .required = true});
  row("train_iters", &C::train_iters, "steps of the whole run",
      {.min = 1, .max = kInt32Max, .required = true});
  row("seed", &C::seed, "key of initial weights, sample order and dropout", {.min = 0});
  row("dtype", &C::dtype,
      "of weights and activations in compute; masters, gradients and sums are always fp32",
      {.choices = {"auto", "bf16", "fp32"}, .note = "auto: bf16 where the chip multiplies it, else fp32"});
  row("device", &C::device, "what computes", {.choices = {"auto", "cpu", "cuda"}});
  row("deterministic", &C::deterministic,
      "the same layout gives the same bits; false lets GPUs sum the gradients of attention's queries in any "
      "order, where nothing waits for its turn");
  row("enable_cuda_graph", &C::enable_cuda_graph,
      "on GPUs, a pass of a micro-batch through a stage is recorded when it comes again, and then launched "
      "as one CUDA graph; "
      "not where tensor ranks share a layer");
  row("matmul_algorithms", &C::matmul_algorithms,
      "on GPUs, file that says which of cuBLASLt's algorithms takes which product, as `headwater bench "
      "matmul` found them",
      {.note = "empty: the library's own rule"});
  row("log_interval", &C::log_interval, "steps between two log lines", {.min = 1});
  row("eval_interval", &C::eval_interval, "steps between two evaluations",
      {.min = 0, .note = "0: only before step 1 and at the end"});
  row("eval_iters", &C::eval_iters, "global batches per evaluation",
      {.min = 0, .note = "0: the whole validation set"});
  row("save", &C::save, "folder for checkpoints; a run resumes from it", {.note = "empty: nothing is saved"});
  row("load", &C::load, "folder to go on from where `save` holds no checkpoint", {.note = "empty: none"});
  row("save_interval", &C::save_interval, "steps between two checkpoints",
      {.min = 0, .note = "0: only at the last step"});
  row("keep", &C::keep, "newest checkpoints that are kept", {.min = 0, .note = "0: all"});
  row("exit_interval", &C::exit_interval, "save and stop when the step is a multiple of this",
      {.min = 0, .note = "0: never"});
  row("exit_duration_in_mins", &C::exit_duration_in_mins,
      "save and stop when this many minutes have passed since the start, after the step that is expected to "
      "reach them",
      {.min = 0, .note = "0: never"});
  row("init_from", &C::init_from,
      "Hugging Face folder or checkpoint that gives the initial weights, and the model section where that is "
      "empty",
      {.note = "empty: fresh weights"});
  row("metrics_file", &C::metrics_file, "one JSON line per step and evaluation",
      {.note = "empty: SAVE/metrics.jsonl, none without `save`"});
  row("tensorboard_dir", &C::tensorboard_dir, "folder for TensorBoard event files",
      {.note = "empty: SAVE/tensorboard, none without `save`"});
  row("comm_timeout_s", &C::comm_timeout_s, "seconds that a transfer may wait for its peers", {.above = 0});
  row("max_bad_steps", &C::max_bad_steps,
      "steps in a row with a loss or norm that is not finite before the run ends", {.min = 1});
  row("check_weight_hash_across_dp_replicas_interval", &C::check_weight_hash_across_dp_replicas_interval,
      "steps between two comparisons, by hash, of the weights that several ranks hold: replicas, the ends of "
      "a tied embedding, what tensor ranks hold whole; a difference ends the run",
      {.min = 0, .note = "0: never"});
  row("timeline", &C::timeline,
      "file for the predicted and the measured timeline of one of the first steps, for Chrome's "
      "about:tracing or Perfetto",
      {.note = "empty: none"});
  row("freeze", &C::freeze,
      "names of parameters that are not trained, as patterns in which * stands for any characters and ? "
      "for one, such as [\"embedding.*\",\"layers.0.*\"]; what is not trained has no gradient, no master "
      "and no moments",
      {.note = "empty: everything is trained"});
  return row.take();
}

FieldSection optimizer_section() {
  using C = OptimizerConfig;
  Rows row("optimizer", "AdamW and its learning rate.", &RunConfig::optimizer);
  row("lr", &C::lr, "peak learning rate", {.above = 0, .required = true});
  row("min_lr", &C::min_lr, "learning rate at the end of the decay", {.min = 0});
  row("lr_decay_style", &C::lr_decay_style, "how the rate falls after warm-up",
      {.choices = {"constant", "linear", "cosine", "wsd", "inverse-square-root"}});
  row("lr_warmup_iters", &C::lr_warmup_iters,
      "steps over which the rate rises from lr / lr_warmup_iters to lr", {.min = 0});
  row("lr_decay_iters", &C::lr_decay_iters, "step at which min_lr is reached",
      {.min = 0, .note = "0: training.train_iters"});
  row("lr_wsd_decay_iters", &C::lr_wsd_decay_iters, "length of the final fall of wsd, in steps", {.min = 0});
  row("lr_wsd_decay_style", &C::lr_wsd_decay_style, "shape of the final fall of wsd",
      {.choices = {"linear", "cosine"}});
  row("weight_decay", &C::weight_decay, "decoupled, on parameters with two or more dimensions", {.min = 0});
  row("adam_beta1", &C::adam_beta1, "decay of the mean of gradients", {.min = 0, .below = 1});
  row("adam_beta2", &C::adam_beta2, "decay of the mean of squared gradients", {.min = 0, .below = 1});
  row("adam_eps", &C::adam_eps, "added to the root of the second moment", {.above = 0});
  row("clip_grad", &C::clip_grad, "largest global gradient norm", {.min = 0, .note = "0: off"});
  row("stochastic_rounding", &C::stochastic_rounding,
      "new bf16 weights are rounded up or down by chance, so that their mean is the fp32 master, instead of "
      "to nearest");
  return row.take();
}

}  // namespace

const std::vector<FieldSection>& field_table() {
  static const std::vector<FieldSection> table = {model_section(), parallel_section(), data_section(),
                                                  training_section(), optimizer_section()};
  return table;
}

const FieldSection* find_section(std::string_view name) {
  for (const FieldSection& section : field_table())
    if (section.name == name) return &section;
  return nullptr;
}

const Field* find_field(std::string_view section, std::string_view name) {
  const FieldSection* candidates = find_section(section);
  if (!candidates) return nullptr;
  for (const Field& field : candidates->fields)
    if (field.name == name) return &field;
  return nullptr;
}

}  // namespace headwater
