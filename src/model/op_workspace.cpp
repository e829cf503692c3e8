#include "headwater/model/op_workspace.h"

#include "workspace.h"

#include <algorithm>

namespace headwater {
namespace {

constexpr std::int64_t kF32 = sizeof(float), kF64 = sizeof(double);
constexpr std::int64_t kLine = 64;  // threads' pieces start on a cache line of their own

constexpr std::int64_t whole_lines(std::int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

// A row of one head in f32, padded to whole vectors.
constexpr std::int64_t row_bytes(std::int64_t head_dim) { return whole_lines(head_dim * kF32); }

}  // namespace

// Per thread: queries across, keys, values, scores, output.
std::int64_t cpu_attention_bytes(std::int64_t head_dim, int threads) {
  const std::int64_t rows = 2 * kQueryTile + 2 * kKeyTile;
  return threads * (rows * row_bytes(head_dim) + kKeyTile * kQueryTile * kF32);
}

// Per thread: the sums dk and dv of one KV head; queries and d_out, both also across, and dq; keys and
// values; scores and their gradients.
std::int64_t cpu_attention_backward_bytes(std::int64_t keys, std::int64_t head_dim, int threads) {
  const std::int64_t rows = 2 * keys + 5 * kQueryTile + 2 * kKeyTile;
  return threads * (rows * row_bytes(head_dim) + 2 * kKeyTile * kQueryTile * kF32);
}

std::int64_t cpu_column_sums_bytes(std::int64_t columns, int threads) {
  return threads * whole_lines(columns * kF32);
}

std::int64_t cpu_total_sum_bytes(int threads) { return threads * whole_lines(kF64); }

// A widened tile of each of the two operands and of their product; or a larger one of the product alone.
std::int64_t cpu_product_bytes() { return 3 * kWidenedTile * kWidenedTile * kF32; }

std::int64_t workspace_bytes(Device::Kind device, const ModelSpec& model, BatchShape batch,
                             Precision precision, int threads) {
  return device == Device::Kind::cpu ? cpu_workspace_bytes(model, batch, precision, threads)
                                     : cuda_workspace_bytes(model, batch, precision);
}

std::int64_t cuda_workspace_bytes(const ModelSpec& model, BatchShape batch, Precision precision) {
  const std::int64_t tokens = batch.tokens();
  std::int64_t bytes =
      std::max({kCublasBytes, kernels::embedding_backward_bytes(tokens), kernels::kMaxNormBlocks * kF64});
  for (const LayerSpec& layer : model.layers)
    bytes =
        std::max({bytes, kernels::column_sums_bytes(tokens, std::max(layer.hidden, layer.filter_channels())),
                  kernels::attention_backward_bytes(batch.samples, batch.sequence, layer.heads,
                                                    layer.head_dim, precision.compute == DType::bf16)});
  return bytes;
}

std::int64_t cpu_workspace_bytes(const ModelSpec& model, BatchShape batch, Precision precision, int threads) {
  std::int64_t bytes = std::max(cpu_total_sum_bytes(threads), cpu_column_sums_bytes(model.hidden, threads));
  for (const LayerSpec& layer : model.layers)
    bytes = std::max({bytes, cpu_attention_bytes(layer.head_dim, threads),
                      cpu_attention_backward_bytes(batch.sequence, layer.head_dim, threads)});
  if (precision.compute == DType::bf16) bytes = std::max(bytes, cpu_product_bytes());
  return bytes;
}

}  // namespace headwater
