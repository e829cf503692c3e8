#include "distributed_world.h"
#include "failure_arbiter.h"
#include "self_communicator.h"

#include <unistd.h>
#include <cstdio>

namespace headwater {
namespace comm {
namespace {

class SelfWorld final : public World {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 1; }
  std::string host(int) const override { return host_name(); }

  std::unique_ptr<Communicator> group(std::string_view name, const std::vector<int>& ranks) override {
    HW_CHECK(ranks == std::vector<int>{0}, "a group of {} ranks in a world of one", ranks.size());
    return make_self_communicator(name);
  }
  std::unique_ptr<Communicator> device_group(std::string_view name, const std::vector<int>& ranks, Device,
                                             const Traffic&) override {
    return group(name, ranks);
  }

  void set_timeout(double) override {}
  bool broken() const override { return false; }
  bool peers_alive(double) override { return true; }
  bool abandon() override { return true; }
  const FlightRecorder& flight_recorder() const override { return recorder_; }
  double waited_seconds() const override { return 0.0; }
  std::int64_t sent_bytes() const override { return 0; }
  std::int64_t scratch_bytes() const override { return 0; }

  [[noreturn]] void fail(const std::string& message, int exit_code) override {
    std::fflush(nullptr);
    print_error_line(message);
    ::_exit(exit_code);
  }
  void finish() override {}

 private:
  FlightRecorder recorder_;
};

}  // namespace
}  // namespace comm

std::unique_ptr<World> make_self_world() { return std::make_unique<comm::SelfWorld>(); }

}  // namespace headwater
