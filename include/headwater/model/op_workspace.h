#pragma once
// Scratch memory that the ops of a backend take from its workspace, as formulas in bytes: ArenaLayout
// reserves it, the backend holds itself to it. What oneDNN takes for itself is not counted: it lies outside
// the arena.

#include "headwater/model/activation_spec.h"
#include "headwater/tensor/device.h"

namespace headwater {

// The largest need of any op of a device's catalogue on this model's layers; on the CPU for `threads`
// threads.
std::int64_t workspace_bytes(Device::Kind device, const ModelSpec& model, BatchShape batch,
                             Precision precision, int threads);
std::int64_t cpu_workspace_bytes(const ModelSpec& model, BatchShape batch, Precision precision, int threads);
// What cuBLASLt is given, or the largest need of a kernel (kernels/workspace.h).
std::int64_t cuda_workspace_bytes(const ModelSpec& model, BatchShape batch, Precision precision);
inline constexpr std::int64_t kCublasBytes = 32 << 20;

// ---- op by op: what the CPU backend checks its workspace against

// Attention works on tiles of so many queries by so many keys.
inline constexpr std::int64_t kQueryTile = 64;
inline constexpr std::int64_t kKeyTile = 64;
// Products of widened bf16 work on square tiles of this side.
inline constexpr std::int64_t kWidenedTile = 512;

std::int64_t cpu_attention_bytes(std::int64_t head_dim, int threads);
std::int64_t cpu_attention_backward_bytes(std::int64_t keys, std::int64_t head_dim, int threads);
// Sums over rows of `columns` columns (gradients of gains and biases): one partial sum per thread.
std::int64_t cpu_column_sums_bytes(std::int64_t columns, int threads);
// Sums over all elements, in f64: one partial sum per thread.
std::int64_t cpu_total_sum_bytes(int threads);
// Products of bf16 that are cut into tiles.
std::int64_t cpu_product_bytes();

}  // namespace headwater
