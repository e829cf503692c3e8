#include "headwater/optim/learning_rate.h"

#include "headwater/base/error.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace headwater {
namespace {

// From lr at x = 0 to min at x = 1.
double fall(const std::string& style, double lr, double min, double x) {
  if (style == "cosine") return min + (lr - min) * (1.0 + std::cos(std::numbers::pi * x)) / 2.0;
  HW_CHECK(style == "linear", "no decay style {}", style);
  return lr - (lr - min) * x;
}

}  // namespace

double learning_rate(const OptimizerConfig& o, std::int64_t train_iters, std::int64_t step) {
  const auto k = static_cast<double>(step), warmup = static_cast<double>(o.lr_warmup_iters);
  const auto end = static_cast<double>(o.lr_decay_iters > 0 ? o.lr_decay_iters : train_iters);
  const auto share = [&](double begin) {
    return end > begin ? std::clamp((k - begin) / (end - begin), 0.0, 1.0) : 1.0;
  };

  if (step <= o.lr_warmup_iters) return o.lr * k / warmup;
  if (o.lr_decay_style == "constant") return o.lr;
  if (o.lr_decay_style == "inverse-square-root")
    return std::max(o.min_lr, o.lr * std::sqrt(std::max(warmup, 1.0) / k));
  if (o.lr_decay_style == "wsd")
    return fall(o.lr_wsd_decay_style, o.lr, o.min_lr,
                share(std::max(warmup, end - static_cast<double>(o.lr_wsd_decay_iters))));
  return fall(o.lr_decay_style, o.lr, o.min_lr, share(warmup));
}

}  // namespace headwater
