#include "headwater/backend/timed_backend.h"

#include "headwater/base/clock.h"

#include <algorithm>

namespace headwater {
namespace {

// Of all views together; an empty one has none.
template <class... Views>
double bytes(const Views&... views) {
  return (0.0 + ... + (views ? static_cast<double>(views.bytes()) : 0.0));
}

double elements(const TensorView& x) { return static_cast<double>(x.elements()); }

// What a sum into x costs more than writing it.
double read_too(bool accumulate, const TensorView& x) { return accumulate ? bytes(x) : 0.0; }

// Of one product over all pairs of a query and a key in its reach. Borders of documents lie on the device and
// are not looked at: they make the true work less.
double attention_product_flops(const AttentionArgs& args) {
  const std::int64_t queries = args.q.rows() / args.samples, keys = args.k.rows() / args.samples;
  double pairs = 0.0;
  for (std::int64_t i = 0; i < queries; ++i)
    pairs += static_cast<double>(std::min(keys, i + 1 + args.query_offset));
  return 2.0 * pairs * static_cast<double>(args.samples * args.q.columns());
}

}  // namespace

double OpTotals::floor_seconds(double matmul_flops, double bandwidth) const {
  return std::max(flops / matmul_flops, bytes / bandwidth);
}

template <class Op>
void TimedBackend::timed(const char* name, Work work, const Op& op) {
  if (!measuring_) return op();
  OpTotals& totals = totals_[name];
  ++totals.calls;
  totals.flops += work.flops;
  totals.bytes += work.bytes;
  if (!inner_) return;
  queue().synchronize();
  const Stopwatch watch;
  op();
  queue().synchronize();
  totals.seconds += watch.seconds();
}

void TimedBackend::zero(TensorView x) {
  timed("zero", {bytes(x)}, [&] { inner_->zero(x); });
}

void TimedBackend::copy(TensorView from, TensorView to) {
  timed("copy", {bytes(from, to)}, [&] { inner_->copy(from, to); });
}

void TimedBackend::add(TensorView x, TensorView y) {
  timed("add", {bytes(x, y, y)}, [&] { inner_->add(x, y); });
}

void TimedBackend::to_device(TensorView host, TensorView device) {
  timed("to_device", {bytes(host, device)}, [&] { inner_->to_device(host, device); });
}

void TimedBackend::to_host(TensorView device, TensorView host) {
  timed("to_host", {bytes(device, host)}, [&] { inner_->to_host(device, host); });
}

void TimedBackend::refresh(Weight& weight) {
  const double moved = weight.prepared ? bytes(weight.canonical, weight.prepared) : 0.0;
  timed("refresh", {moved}, [&] { inner_->refresh(weight); });
}

void TimedBackend::linear(TensorView x, const Weight& w, TensorView y) {
  const double flops = 2.0 * elements(x) * static_cast<double>(y.columns());
  timed("linear", {bytes(x, w.canonical, y), flops}, [&] { inner_->linear(x, w, y); });
}

void TimedBackend::linear_input_gradient(TensorView dy, const Weight& w, TensorView dx, bool accumulate) {
  const double flops = 2.0 * elements(dy) * static_cast<double>(dx.columns());
  timed("linear_input_gradient", {bytes(dy, w.canonical, dx) + read_too(accumulate, dx), flops},
        [&] { inner_->linear_input_gradient(dy, w, dx, accumulate); });
}

void TimedBackend::linear_weight_gradient(TensorView dy, TensorView x, TensorView dw) {
  const double flops = 2.0 * elements(dy) * static_cast<double>(x.columns());
  timed("linear_weight_gradient", {bytes(dy, x, dw, dw), flops},
        [&] { inner_->linear_weight_gradient(dy, x, dw); });
}

// A row of the table for each token: as many bytes as its output.
void TimedBackend::embedding(TensorView tokens, TensorView table, std::int64_t first, TensorView out) {
  timed("embedding", {bytes(tokens, out, out)}, [&] { inner_->embedding(tokens, table, first, out); });
}

void TimedBackend::embedding_backward(TensorView tokens, TensorView d_out, std::int64_t first,
                                      TensorView d_table) {
  const double rows = 2.0 * elements(d_out) * static_cast<double>(size_of(d_table.dtype));
  timed("embedding_backward", {bytes(tokens, d_out) + rows},
        [&] { inner_->embedding_backward(tokens, d_out, first, d_table); });
}

void TimedBackend::rms_norm(TensorView x, TensorView gain, double epsilon, TensorView y, TensorView rstd) {
  timed("rms_norm", {bytes(x, gain, y, rstd)}, [&] { inner_->rms_norm(x, gain, epsilon, y, rstd); });
}

void TimedBackend::rms_norm_backward(TensorView dy, TensorView x, TensorView gain, TensorView rstd,
                                     TensorView dx, bool accumulate, TensorView d_gain) {
  timed("rms_norm_backward", {bytes(dy, x, gain, rstd, dx, d_gain, d_gain) + read_too(accumulate, dx)},
        [&] { inner_->rms_norm_backward(dy, x, gain, rstd, dx, accumulate, d_gain); });
}

void TimedBackend::residual_add(TensorView branch, TensorView x, const Dropout& dropout, TensorView out) {
  timed("residual_add", {bytes(branch, x, out)}, [&] { inner_->residual_add(branch, x, dropout, out); });
}

void TimedBackend::residual_rms_norm(TensorView branch, TensorView x, const Dropout& dropout, TensorView gain,
                                     double epsilon, TensorView out, TensorView y, TensorView rstd) {
  timed("residual_rms_norm", {bytes(branch, x, gain, out, y, rstd)},
        [&] { inner_->residual_rms_norm(branch, x, dropout, gain, epsilon, out, y, rstd); });
}

void TimedBackend::dropout_backward(TensorView d_out, const Dropout& dropout, TensorView d_branch) {
  timed("dropout_backward", {bytes(d_out, d_branch)},
        [&] { inner_->dropout_backward(d_out, dropout, d_branch); });
}

void TimedBackend::lfa_taps(TensorView products, const Borders& borders, std::int64_t samples,
                            TensorView before, TensorView bias, TensorView residual, TensorView out) {
  timed("lfa_taps", {bytes(products, borders.start, before, bias, residual, out)},
        [&] { inner_->lfa_taps(products, borders, samples, before, bias, residual, out); });
}

void TimedBackend::lfa_taps_backward(TensorView d_out, const Borders& borders, std::int64_t samples,
                                     TensorView d_products, TensorView d_before, TensorView d_bias) {
  timed("lfa_taps_backward", {bytes(d_out, borders.start, d_products, d_before, d_bias, d_bias)},
        [&] { inner_->lfa_taps_backward(d_out, borders, samples, d_products, d_before, d_bias); });
}

void TimedBackend::lfa_taps_rms_norm(TensorView products, const Borders& borders, std::int64_t samples,
                                     TensorView before, TensorView bias, TensorView residual, TensorView gain,
                                     double epsilon, TensorView z, TensorView y, TensorView rstd) {
  timed("lfa_taps_rms_norm", {bytes(products, borders.start, before, bias, residual, gain, z, y, rstd)}, [&] {
    inner_->lfa_taps_rms_norm(products, borders, samples, before, bias, residual, gain, epsilon, z, y, rstd);
  });
}

void TimedBackend::rotary(TensorView x, TensorView position, TensorView table, bool inverse) {
  timed("rotary", {bytes(x, x, position)}, [&] { inner_->rotary(x, position, table, inverse); });
}

// q kᵀ and the product with v.
void TimedBackend::attention(const AttentionArgs& args, TensorView out, TensorView lse) {
  timed("attention",
        {bytes(args.q, args.k, args.v, args.borders.start, out, lse), 2.0 * attention_product_flops(args)},
        [&] { inner_->attention(args, out, lse); });
}

// The scores again, since none are kept, then the gradients of probabilities, q, k and v.
void TimedBackend::attention_backward(const AttentionArgs& args, TensorView out, TensorView lse,
                                      TensorView d_out, TensorView dq, TensorView dk, TensorView dv) {
  timed("attention_backward",
        {bytes(args.q, args.k, args.v, args.borders.start, out, lse, d_out, dq, dk, dv),
         5.0 * attention_product_flops(args)},
        [&] { inner_->attention_backward(args, out, lse, d_out, dq, dk, dv); });
}

void TimedBackend::swiglu(TensorView x, TensorView out) {
  timed("swiglu", {bytes(x, out)}, [&] { inner_->swiglu(x, out); });
}

void TimedBackend::swiglu_backward(TensorView d_out, TensorView x, TensorView dx) {
  timed("swiglu_backward", {bytes(d_out, x, dx)}, [&] { inner_->swiglu_backward(d_out, x, dx); });
}

void TimedBackend::softmax_statistics(TensorView logits, TensorView labels, std::int64_t first,
                                      std::int64_t valid, TensorView statistics) {
  timed("softmax_statistics", {bytes(logits, labels, statistics)},
        [&] { inner_->softmax_statistics(logits, labels, first, valid, statistics); });
}

void TimedBackend::combine_statistics(TensorView shards, TensorView statistics) {
  timed("combine_statistics", {bytes(shards, statistics)},
        [&] { inner_->combine_statistics(shards, statistics); });
}

void TimedBackend::cross_entropy_backward(TensorView logits, TensorView labels, std::int64_t first,
                                          std::int64_t valid, TensorView statistics, TensorView scalars) {
  timed("cross_entropy_backward", {bytes(logits, logits, labels, statistics)},
        [&] { inner_->cross_entropy_backward(logits, labels, first, valid, statistics, scalars); });
}

void TimedBackend::cross_entropy_loss(TensorView labels, TensorView statistics, TensorView scalars) {
  timed("cross_entropy_loss", {bytes(labels, statistics)},
        [&] { inner_->cross_entropy_loss(labels, statistics, scalars); });
}

void TimedBackend::add_squared_norm(TensorView x, TensorView sum) {
  timed("add_squared_norm", {bytes(x, sum)}, [&] { inner_->add_squared_norm(x, sum); });
}

void TimedBackend::decide_step(double clip, TensorView scalars) {
  timed("decide_step", {bytes(scalars)}, [&] { inner_->decide_step(clip, scalars); });
}

// All four of master, moments and weight are written; a weight that is the master itself only once.
void TimedBackend::adamw(const AdamWArgs& args, TensorView scalars) {
  const TensorView weight = args.weight.data == args.master.data ? TensorView() : args.weight;
  const double read = bytes(args.master, args.gradient, args.first_moment, args.second_moment);
  const double written = bytes(args.master, args.first_moment, args.second_moment, weight);
  timed("adamw", {read + written}, [&] { inner_->adamw(args, scalars); });
}

}  // namespace headwater
