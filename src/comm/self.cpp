#include "self.h"

#include "engine_world.h"

#include "headwater/tensor/device_memory.h"

#include <unistd.h>
#include <cstdio>

namespace headwater {
namespace comm {
namespace {

class SelfCommunicator final : public Communicator {
 public:
  explicit SelfCommunicator(std::string_view name) : name_(name) {}

  const std::string& name() const override { return name_; }
  int rank() const override { return 0; }
  int size() const override { return 1; }

  Event all_reduce(TensorView data, ReduceOp op, Event after) override {
    check_all_reduce(data, op);
    return after;
  }
  Event reduce_scatter(TensorView in, TensorView out, Event after) override { return copy(in, out, after); }
  Event all_gather(TensorView in, TensorView out, Event after) override { return copy(in, out, after); }
  Event all_to_all(TensorView in, TensorView out, Event after) override { return copy(in, out, after); }
  Event broadcast(TensorView, int root, Event after) override {
    HW_CHECK(root == 0, "root {} of one rank", root);
    return after;
  }
  Event send(TensorView, int peer, Event) override { no_peer(peer); }
  Event receive(TensorView, int peer, Event) override { no_peer(peer); }

 private:
  static Event copy(TensorView in, TensorView out, const Event& after) {
    check_same(in, out, 1);
    if (in.data == out.data) return after;
    after.wait();
    copy_within(in.device, in.data, out.data, in.bytes());
    return {};
  }
  [[noreturn]] static void no_peer(int peer) { throw InternalError("a rank alone has no peer {}", peer); }

  std::string name_;
};

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

std::unique_ptr<Communicator> make_self_communicator(std::string_view name) {
  return std::make_unique<SelfCommunicator>(name);
}

}  // namespace comm

std::unique_ptr<World> make_self_world() { return std::make_unique<comm::SelfWorld>(); }

}  // namespace headwater
