#pragma once
// A run as the user asked for it: every config key, as plain data.
//
// There is one struct per section. The table of their fields is in field_table.h; parsing, help, the config
// reference and validation all come from that table. Other code takes what `model`, `layout` and `schedule`
// compute from these structs, and does not compute it again.
//
// docs/config-reference.md, which is generated, says what each key means. The names are Megatron-LM's long
// names.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace headwater {

struct ModelConfig {
  std::string preset;                    // a name of presets.h; the other keys override it
  std::string family;                    // "yuan2"
  std::int64_t num_layers = 0;           // L
  std::int64_t hidden_size = 0;          // H
  std::int64_t ffn_hidden_size = 0;      // F; 0: 4·H
  std::int64_t num_attention_heads = 0;  // A
  std::int64_t num_query_groups = 0;     // G, KV heads; 0: A
  std::int64_t kv_channels = 0;          // D; 0: H / A
  std::int64_t vocab_size = 0;           // V
  std::int64_t make_vocab_size_divisible_by = 128;
  std::int64_t max_position_embeddings = 0;  // 0: training.seq_length
  double rotary_base = 10000.0;
  std::string norm = "rmsnorm";
  double norm_epsilon = 1e-6;
  double init_method_std = 0.02;
  bool untie_embeddings_and_output_weights = false;
  bool lfa = true;
  std::string mlp = "swiglu";
  double attention_dropout = 0.0;
  double hidden_dropout = 0.0;

  bool operator==(const ModelConfig&) const = default;
};

// "uniform"; or, if that is false, numbers of layers in the order of the model, one for each virtual stage;
// or "auto" (plan/search/auto_layout.h), for which `uniform` is false and `layers` empty.
struct PipelineLayout {
  bool uniform = true;
  std::vector<std::int64_t> layers;
  bool operator==(const PipelineLayout&) const = default;
};

// The choice of what backward computes again instead of keeping it, for all stages alike or stage by stage.
struct RecomputeLayout {
  using Entry =
      std::variant<std::string, std::int64_t>;  // a word as for `all`; or n: the first n layers in full
  std::string all = "none";                     // "none", "selective" or "full"
  std::vector<Entry> stages;                    // one per virtual stage; empty: `all` on each
  bool operator==(const RecomputeLayout&) const = default;
};

struct ParallelConfig {
  std::int64_t tensor_model_parallel_size = 1;
  bool sequence_parallel = false;
  std::int64_t pipeline_model_parallel_size = 1;
  PipelineLayout pipeline_layout;
  std::string pipeline_schedule = "1f1b";
  std::int64_t num_chunks = 0;  // 0: by pipeline_schedule
  bool use_distributed_optimizer = false;
  std::int64_t ddp_bucket_size = 25'000'000;
  RecomputeLayout recompute;
  std::string cluster;
  std::string lfa_sharding = "auto";

  bool operator==(const ParallelConfig&) const = default;
};

struct WeightedPrefix {
  std::string prefix;
  double weight = 1.0;
  bool operator==(const WeightedPrefix&) const = default;
};

struct DataConfig {
  std::vector<WeightedPrefix> train;
  std::vector<WeightedPrefix> validation;
  std::vector<double> split;  // three weights, or empty
  std::string tokenizer;      // "bytes" or a SentencePiece model
  bool shuffle = true;
  std::int64_t eod = -1;  // −1: the tokenizer's
  bool reset_position_ids = false;
  bool reset_attention_mask = false;
  bool reset_lfa = false;
  bool eod_mask_loss = false;

  bool operator==(const DataConfig&) const = default;
};

struct TrainingConfig {
  std::int64_t micro_batch_size = 1;
  std::int64_t global_batch_size = 0;           // 0: micro_batch_size × data-parallel size
  std::vector<std::int64_t> rampup_batch_size;  // start, increment, samples; or empty
  std::int64_t seq_length = 0;
  std::int64_t train_iters = 0;
  std::int64_t seed = 1234;
  std::string dtype = "auto";   // auto, bf16, fp32
  std::string device = "auto";  // auto, cpu, cuda
  bool deterministic = true;
  bool enable_cuda_graph = true;
  std::string matmul_algorithms;  // "": the library's rule
  std::int64_t log_interval = 1;
  std::int64_t eval_interval = 0;  // 0: no evaluation
  std::int64_t eval_iters = 0;     // 0: the whole validation set
  std::string save;
  std::string load;
  std::int64_t save_interval = 0;  // 0: only at the end
  std::int64_t keep = 0;           // 0: all
  std::int64_t exit_interval = 0;
  double exit_duration_in_mins = 0.0;  // 0: never
  std::string init_from;
  std::string metrics_file;
  std::string tensorboard_dir;  // "": SAVE/tensorboard if `save` is set
  double comm_timeout_s = 600.0;
  std::int64_t max_bad_steps = 5;
  std::int64_t check_weight_hash_across_dp_replicas_interval = 0;  // 0: never
  std::string timeline;                                            // "": none
  std::vector<std::string> freeze;  // patterns of the names of parameters that are not trained

  bool operator==(const TrainingConfig&) const = default;
};

struct OptimizerConfig {
  double lr = 0.0;
  double min_lr = 0.0;
  std::string lr_decay_style = "constant";
  std::int64_t lr_warmup_iters = 0;
  std::int64_t lr_decay_iters = 0;  // 0: train_iters
  std::int64_t lr_wsd_decay_iters = 0;
  std::string lr_wsd_decay_style = "linear";
  double weight_decay = 0.1;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.95;
  double adam_eps = 1e-8;
  double clip_grad = 1.0;
  bool stochastic_rounding = false;

  bool operator==(const OptimizerConfig&) const = default;
};

struct RunConfig {
  ModelConfig model;
  ParallelConfig parallel;
  DataConfig data;
  TrainingConfig training;
  OptimizerConfig optimizer;

  bool operator==(const RunConfig&) const = default;
};

}  // namespace headwater
