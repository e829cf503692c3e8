#include "headwater/backend/ops.h"

#include "headwater/base/error.h"

#include "cpu/scratch_bytes.h"
#include "operand_checks.h"
#include "workspace.h"

namespace headwater {
namespace {

constexpr std::int64_t kCublasBytes = 32 << 20;  // what cuBLASLt is given

DType sums_of(DType compute) { return compute == DType::f64 ? DType::f64 : DType::f32; }

double product(const TensorView& a, std::int64_t columns) {
  return 2.0 * static_cast<double>(a.elements()) * static_cast<double>(columns);
}

void check_scalars(const TensorView& scalars) { check_vector(scalars, DType::f64, kStepScalars, "scalars"); }

void check_floating(const TensorView& x, const char* name) {
  HW_CHECK(x.dtype != DType::i32, "{} is {}, not of a floating dtype", name, name_of(x.dtype));
}

// In the compute dtype, or in that of its sums.
void check_result_dtype(const TensorView& x, DType compute, const char* name) {
  HW_CHECK(x.dtype == compute || x.dtype == sums_of(compute), "{} is {} of operands in {}", name,
           name_of(x.dtype), name_of(compute));
}

void check_statistics(const TensorView& statistics, DType dtype, std::int64_t rows, const char* name) {
  HW_CHECK(dtype == DType::f32 || dtype == DType::f64, "{} in {}", name, name_of(dtype));
  check_matrix(statistics, dtype, rows, 3, name);
  HW_CHECK(statistics.dense(), "{} with row stride {}", name, statistics.row_stride);
}

void check_logits(const TensorView& logits, const TensorView& labels, std::int64_t valid) {
  check_floating(logits, "logits");
  check_vector(labels, DType::i32, logits.rows(), "labels");
  HW_CHECK(valid >= 0 && valid <= logits.columns(), "{} valid columns of {}", valid, logits.columns());
}

void check_borders(const Borders& borders, std::int64_t tokens, std::int64_t samples) {
  HW_CHECK(samples > 0 && tokens % samples == 0, "{} tokens of {} samples", tokens, samples);
  check_vector(borders.start, DType::i32, tokens, "start");
}

bool on_cpu(const op::Executor& executor) { return executor.device == Device::Kind::cpu; }

// Products of f32 take none on a CPU; cuBLASLt is given what it asks for.
std::int64_t product_scratch(DType compute, const op::Executor& executor) {
  if (!on_cpu(executor)) return kCublasBytes;
  return compute == DType::bf16 ? cpu::product_bytes() : 0;
}

// Sums over the rows of [rows, columns]: gradients of gains and biases.
std::int64_t column_sums_scratch(std::int64_t rows, std::int64_t columns, const op::Executor& executor) {
  return on_cpu(executor) ? cpu::column_sums_bytes(columns, executor.threads)
                          : kernels::column_sums_bytes(rows, columns);
}

struct ActivationNames {
  const char *forward, *backward;
};

ActivationNames names_of(op::ActivationFunction function) {
  switch (function) {
    case op::ActivationFunction::relu: return {"relu", "relu_backward"};
    case op::ActivationFunction::gelu: return {"gelu", "gelu_backward"};
    case op::ActivationFunction::gelu_tanh: return {"gelu_tanh", "gelu_tanh_backward"};
  }
  throw InternalError("no activation {}", static_cast<int>(function));
}

}  // namespace

void Dropout::check(std::int64_t rows) const {
  if (!on()) return;
  const std::int64_t count = samples();
  check_vector(keys, DType::i32, 2 * count, "dropout keys");
  HW_CHECK(count > 0 && (sequence > 0 || rows % count == 0), "{} rows of {} samples", rows, count);
  HW_CHECK(first_row + rows <= count * tokens_per_sample(rows), "rows {} + {} of {} samples of {}", first_row,
           rows, count, tokens_per_sample(rows));
}

void NormArguments::check(const TensorView& x) const {
  check_vector(gain, x.dtype, x.columns(), "gain");
  check_matrix(y, x.dtype, x.rows(), x.columns(), "y");
  check_vector(rstd, sums_of(x.dtype), x.rows(), "rstd");
  if (!mean && !bias) return;
  check_vector(bias, x.dtype, x.columns(), "bias");
  check_vector(mean, sums_of(x.dtype), x.rows(), "mean");
}

void NormBackwardArguments::check(const TensorView& x) const {
  check_vector(gain, x.dtype, x.columns(), "gain");
  check_vector(rstd, sums_of(x.dtype), x.rows(), "rstd");
  if (d_gain) check_vector(d_gain, sums_of(x.dtype), x.columns(), "d_gain");
  if (mean) check_vector(mean, sums_of(x.dtype), x.rows(), "mean");
  HW_CHECK(mean || !d_bias, "the gradient of a bias, but no mean: RMSNorm has no bias");
  if (d_bias) check_vector(d_bias, sums_of(x.dtype), x.columns(), "d_bias");
}

void AttentionArguments::check() const {
  HW_CHECK(samples > 0 && q.rows() % samples == 0 && k.rows() % samples == 0, "q {} and k {} of {} samples",
           to_string(q.shape), to_string(k.shape), samples);
  HW_CHECK(q.shape.rank() == 3 && k.shape.rank() == 3 && k.shape[1] > 0 && q.shape[1] % k.shape[1] == 0 &&
               k.shape[2] == q.shape[2],
           "q {} with k {}", to_string(q.shape), to_string(k.shape));
  check_matrix(k, q.dtype, k.rows(), k.columns(), "k");
  check_matrix(v, q.dtype, k.rows(), k.columns(), "v");
  check_vector(borders.start, DType::i32, q.rows(), "start");
  if (dropout.on()) check_vector(dropout.keys, DType::i32, 2 * samples, "dropout keys");
}

double AttentionArguments::product_flops() const {
  // Query i reaches the first i + 1 + query_offset keys, or all of them.
  const std::int64_t partial = std::clamp<std::int64_t>(keys() - query_offset, 0, queries());
  const std::int64_t pairs =
      partial * query_offset + partial * (partial + 1) / 2 + (queries() - partial) * keys();
  return 2.0 * static_cast<double>(pairs) * static_cast<double>(samples * q.columns());
}

namespace op {

void Copy::check() const {
  check_same_shape(from, to);
  HW_CHECK((from.dtype == DType::i32) == (to.dtype == DType::i32), "{} to {}", name_of(from.dtype),
           name_of(to.dtype));
}

void Add::check() const {
  check_same_shape(x, y);
  check_floating(x, "x");
  check_floating(y, "y");
}

void Linear::check() const {
  check_matrix(w, x.dtype, y.columns(), x.columns(), "w");
  check_matrix(y, y.dtype, x.rows(), w.rows(), "y");
  check_result_dtype(y, x.dtype, "y");
}
double Linear::flops() const { return product(x, y.columns()); }
std::int64_t Linear::scratch(const Executor& executor) const { return product_scratch(x.dtype, executor); }

void LinearInputGradient::check() const {
  check_matrix(w, dy.dtype, dy.columns(), dx.columns(), "w");
  check_matrix(dx, dx.dtype, dy.rows(), w.columns(), "dx");
  check_result_dtype(dx, dy.dtype, "dx");
}
double LinearInputGradient::flops() const { return product(dy, dx.columns()); }
std::int64_t LinearInputGradient::scratch(const Executor& executor) const {
  return product_scratch(dy.dtype, executor);
}

void LinearWeightGradient::check() const {
  check_matrix(x, dy.dtype, dy.rows(), x.columns(), "x");
  check_matrix(dw, sums_of(dy.dtype), dy.columns(), x.columns(), "dw");
}
double LinearWeightGradient::flops() const { return product(dy, x.columns()); }
std::int64_t LinearWeightGradient::scratch(const Executor& executor) const {
  return product_scratch(dy.dtype, executor);
}

void Embedding::check() const {
  check_vector(tokens, DType::i32, out.rows(), "tokens");
  check_matrix(table, out.dtype, table.rows(), out.columns(), "table");
}
double Embedding::bytes() const { return static_cast<double>(tokens.bytes() + 2 * out.bytes()); }

void EmbeddingBackward::check() const {
  check_floating(d_out, "d_out");
  check_vector(tokens, DType::i32, d_out.rows(), "tokens");
  check_matrix(d_table, sums_of(d_out.dtype), d_table.rows(), d_out.columns(), "d_table");
}
double EmbeddingBackward::bytes() const {
  const double rows =
      2.0 * static_cast<double>(d_out.elements()) * static_cast<double>(size_of(d_table.dtype));
  return static_cast<double>(tokens.bytes() + d_out.bytes()) + rows;
}
std::int64_t EmbeddingBackward::scratch(const Executor& executor) const {
  return on_cpu(executor) ? 0 : kernels::embedding_backward_bytes(d_out.rows());
}

void NormBackward::check() const {
  check_matrix(dy, x.dtype, x.rows(), x.columns(), "dy");
  if (addend) check_matrix(addend, x.dtype, x.rows(), x.columns(), "addend");
  check_matrix(dx, x.dtype, x.rows(), x.columns(), "dx");
  norm.check(x);
}
// A GPU takes the sums of d_gain and d_bias at once, a CPU one after the other. Threads and groups take their
// parts of the gain's sum whether it is trained or not.
std::int64_t NormBackward::scratch(const Executor& executor) const {
  const std::int64_t bytes = column_sums_scratch(x.rows(), x.columns(), executor);
  return norm.mean && !on_cpu(executor) ? 2 * bytes : bytes;
}

void ResidualAdd::check() const {
  check_matrix(branch, x.dtype, x.rows(), x.columns(), "branch");
  check_matrix(out, x.dtype, x.rows(), x.columns(), "out");
  dropout.check(x.rows());
}

void DropoutBackward::check() const {
  HW_CHECK(dropout.on(), "dropout_backward without dropout");
  check_matrix(d_branch, d_out.dtype, d_out.rows(), d_out.columns(), "d_branch");
  dropout.check(d_out.rows());
}

void LfaTaps::check() const {
  const std::int64_t rows = products.rows(), columns = out.columns();
  check_matrix(products, out.dtype, rows, 2 * columns, "products");
  check_matrix(out, out.dtype, rows, columns, "out");
  check_borders(borders, rows, samples);
  if (before) check_matrix(before, out.dtype, samples, columns, "before");
  if (bias) check_vector(bias, out.dtype, columns, "bias");
  if (residual) check_matrix(residual, out.dtype, rows, columns, "residual");
}

void LfaTapsBackward::check() const {
  const std::int64_t rows = d_out.rows(), columns = d_out.columns();
  check_borders(borders, rows, samples);
  check_matrix(d_products, d_out.dtype, rows, 2 * columns, "d_products");
  if (d_before) check_matrix(d_before, d_out.dtype, samples, columns, "d_before");
  if (d_bias) check_vector(d_bias, sums_of(d_out.dtype), columns, "d_bias");
}
std::int64_t LfaTapsBackward::scratch(const Executor& executor) const {
  return d_bias ? column_sums_scratch(d_out.rows(), d_out.columns(), executor) : 0;
}

void Rotary::check() const {
  check_floating(x, "x");
  HW_CHECK(x.shape.rank() == 3, "rotary on {}", to_string(x.shape));
  check_vector(position, DType::i32, x.rows(), "position");
  check_matrix(table, sums_of(x.dtype), table.rows(), table.columns(), "table");
  HW_CHECK(table.columns() % 2 == 0 && table.columns() <= x.shape[2], "{} of {} channels turned",
           table.columns(), x.shape[2]);
}
double Rotary::bytes() const { return static_cast<double>(2 * x.bytes() + position.bytes()); }

void Attention::check() const {
  of.check();
  check_matrix(out, of.q.dtype, of.q.rows(), of.q.columns(), "out");
  check_matrix(lse, sums_of(of.q.dtype), of.q.rows(), of.q.shape[1], "lse");
}
double Attention::flops() const { return 2.0 * of.product_flops(); }
std::int64_t Attention::scratch(const Executor& executor) const {
  return on_cpu(executor) ? cpu::attention_bytes(of.q.shape[2], executor.threads) : 0;
}

void AttentionBackward::check() const {
  of.check();
  const auto like = [](const TensorView& x, const TensorView& other, const char* name) {
    check_matrix(x, other.dtype, other.rows(), other.columns(), name);
  };
  like(out, of.q, "out");
  check_matrix(lse, sums_of(of.q.dtype), of.q.rows(), of.q.shape[1], "lse");
  like(d_out, of.q, "d_out");
  like(dq, of.q, "dq");
  like(dk, of.k, "dk");
  like(dv, of.k, "dv");
}
double AttentionBackward::flops() const { return 5.0 * of.product_flops(); }
std::int64_t AttentionBackward::scratch(const Executor& executor) const {
  const std::int64_t heads = of.q.shape[1], head_dim = of.q.shape[2];
  return on_cpu(executor) ? cpu::attention_backward_bytes(of.keys(), head_dim, executor.threads)
                          : kernels::attention_backward_bytes(of.samples, of.queries(), heads, head_dim,
                                                              of.q.dtype == DType::bf16);
}

void Swiglu::check() const { check_matrix(x, out.dtype, out.rows(), 2 * out.columns(), "x"); }

void SwigluBackward::check() const {
  check_matrix(x, d_out.dtype, d_out.rows(), 2 * d_out.columns(), "x");
  check_matrix(dx, d_out.dtype, d_out.rows(), 2 * d_out.columns(), "dx");
}

const char* Activation::name() const { return names_of(function).forward; }
const char* ActivationBackward::name() const { return names_of(function).backward; }

void Activation::check() const { check_matrix(x, out.dtype, out.rows(), out.columns(), "x"); }

void ActivationBackward::check() const {
  check_matrix(x, d_out.dtype, d_out.rows(), d_out.columns(), "x");
  check_matrix(dx, d_out.dtype, d_out.rows(), d_out.columns(), "dx");
}

void SoftmaxStatistics::check() const {
  check_logits(logits, labels, valid);
  check_statistics(statistics, sums_of(logits.dtype), logits.rows(), "statistics");
}

void CombineStatistics::check() const {
  const std::int64_t rows = statistics.rows(), count = rows > 0 ? shards.rows() / rows : 0;
  check_statistics(statistics, statistics.dtype, rows, "statistics");
  check_statistics(shards, statistics.dtype, count * rows, "shards");
}

void CrossEntropyLoss::check() const {
  check_vector(labels, DType::i32, labels.elements(), "labels");
  check_statistics(statistics, statistics.dtype, labels.elements(), "statistics");
  check_scalars(scalars);
}

void CrossEntropyBackward::check() const {
  loss().check();
  check_logits(logits, labels, valid);
  check_statistics(statistics, sums_of(logits.dtype), logits.rows(), "statistics");
}

void AddSquaredNorm::check() const {
  HW_CHECK(x.dtype == DType::f32 || x.dtype == DType::f64, "the norm of {}", name_of(x.dtype));
  check_vector(x, x.dtype, x.elements(), "x");
  check_vector(sum, DType::f64, 1, "sum");
}
std::int64_t AddSquaredNorm::scratch(const Executor& executor) const {
  return on_cpu(executor) ? cpu::total_sum_bytes(executor.threads)
                          : kernels::squared_norm_bytes(x.elements());
}

void DecideStep::check() const { check_scalars(scalars); }

void AdamW::check() const {
  const std::int64_t count = master.elements();
  HW_CHECK(master.dtype == DType::f32 || master.dtype == DType::f64, "masters in {}", name_of(master.dtype));
  check_vector(master, master.dtype, count, "master");
  check_vector(gradient, master.dtype, count, "gradient");
  check_vector(first_moment, master.dtype, count, "first moment");
  check_vector(second_moment, master.dtype, count, "second moment");
  check_floating(weight, "weight");
  HW_CHECK(sums_of(weight.dtype) == master.dtype, "weights in {} of masters in {}", name_of(weight.dtype),
           name_of(master.dtype));
  check_vector(weight, weight.dtype, count, "weight");
  check_scalars(scalars);
}
double AdamW::bytes() const {
  const double written_too = weight.data == master.data ? 0.0 : static_cast<double>(weight.bytes());
  return static_cast<double>(7 * master.bytes()) + written_too;
}

}  // namespace op
}  // namespace headwater
