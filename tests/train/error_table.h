#pragma once
// The errors of mixes, one to a line, in a file that an interrupted run goes on from: a mix that stands in it
// is not run again.

#include "headwater/base/file.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <set>
#include <stdexcept>
#include <string>

namespace headwater::test {

class ErrorTable {
 public:
  // `mixes`: how many there will be.
  ErrorTable(const Path& path, std::size_t mixes) : mixes_(mixes) {
    std::ifstream written(path);
    for (std::string line; std::getline(written, line);) done_.insert(line.substr(0, line.find('\t')));
    begun_with_ = done_.size();
    file_ = std::fopen(path.c_str(), "a");
    if (file_ == nullptr) throw std::runtime_error("cannot write " + path.string());
    if (done_.insert(kHeader).second)
      add_line(fmt::format("{}\tranks\tloss error / allowed\tgradient error / allowed", kHeader));
    else
      --begun_with_;
  }
  ~ErrorTable() { std::fclose(file_); }
  ErrorTable(const ErrorTable&) = delete;
  ErrorTable& operator=(const ErrorTable&) = delete;

  bool has(const std::string& mix) const { return done_.contains(mix); }

  void add(const std::string& mix, int ranks, double loss, double gradient) {
    add_line(fmt::format("{}\t{}\t{:.4f}\t{:.4f}", mix, ranks, loss, gradient));
    done_.insert(mix);
    if (const std::size_t done = done_.size() - 1; done % 20 == 0 || done == mixes_) {
      const std::chrono::duration<double, std::ratio<60>> minutes = std::chrono::steady_clock::now() - start_;
      const double share = static_cast<double>(mixes_ - done) / static_cast<double>(done - begun_with_);
      fmt::print(stderr, "{} of {} mixes, about {:.0f} minutes to go\n", done, mixes_,
                 minutes.count() * share);
    }
  }

 private:
  static constexpr const char* kHeader = "mix";

  void add_line(const std::string& line) {  // in one piece: an interrupted run leaves whole lines
    fmt::print(file_, "{}\n", line);
    std::fflush(file_);
  }

  std::size_t mixes_, begun_with_ = 0;  // mixes
  std::set<std::string> done_;          // and the header
  std::FILE* file_ = nullptr;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace headwater::test
