#pragma once
// The learning rate of each step, as a function of the step alone.
//
// Steps count from 1. Warm-up: lr · k / w for k ≤ w = lr_warmup_iters. Then, with N = lr_decay_iters and x =
// (k − w)/(N − w) clamped to 1: constant lr; linear lr − (lr − min)·x; cosine min + (lr − min)(1 + cos πx)/2;
// wsd stays at lr until N − lr_wsd_decay_iters and falls to min in lr_wsd_decay_style over the rest;
// inverse-square-root max(min, lr·√(max(w, 1)/k)).

#include "headwater/config/run_config.h"

namespace headwater {

double learning_rate(const OptimizerConfig& optimizer, std::int64_t train_iters, std::int64_t step);

}  // namespace headwater
