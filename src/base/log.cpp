#include "headwater/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <string>

namespace headwater::log {
namespace {

struct Log {
  std::shared_ptr<spdlog::logger> logger;
  std::string prefix;  // "rank R: ", empty on rank 0
  Level level = Level::info;
  bool leader = true;

  Log() {
    // The logger stays out of spdlog's registry, which would be torn down before the last destructors log.
    logger = std::make_shared<spdlog::logger>("headwater", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("[%Y-%m-%d %H:%M:%S] %v");
    logger->set_level(spdlog::level::trace);
  }

  // The lowest level that is shown.
  Level threshold() const {
    return leader || level == Level::debug ? level : std::max(level, Level::warning);
  }
};

Log& instance() {
  static Log log;
  return log;
}

}  // namespace

void set_rank(int rank, int ranks) {
  Log& log = instance();
  log.leader = rank == 0;
  log.prefix = rank == 0 || ranks <= 1 ? "" : fmt::format("rank {}: ", rank);
}

void set_level(Level level) { instance().level = level; }

void write(Level level, std::string_view message) {
  Log& log = instance();
  if (level < log.threshold()) return;
  switch (level) {
    case Level::debug: log.logger->debug("{}{}", log.prefix, message); break;
    case Level::info: log.logger->info("{}{}", log.prefix, message); break;
    case Level::warning: log.logger->warn("{}warning: {}", log.prefix, message); break;
    case Level::error: log.logger->error("{}error: {}", log.prefix, message); break;
  }
}

}  // namespace headwater::log
