#pragma once
// Time, in seconds of a monotonic clock.

namespace headwater {

double now_seconds();

class Stopwatch {
 public:
  Stopwatch() : start_(now_seconds()) {}
  double seconds() const { return now_seconds() - start_; }
  void restart() { start_ = now_seconds(); }

 private:
  double start_;
};

}  // namespace headwater
