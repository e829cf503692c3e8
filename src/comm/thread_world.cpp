#include "engine_world.h"
#include "thread_transport.h"

namespace headwater {
namespace comm {
namespace {

class ThreadWorld final : public EngineWorld {
 public:
  ThreadWorld(const std::shared_ptr<Post>& post, int rank)
      : EngineWorld([post, rank] { return make_thread_transport(post, rank); }) {}

  // Ends this thread's body; the waits of the others throw, and run_on_threads throws the reason.
  [[noreturn]] void fail(const std::string& message, int exit_code) override { raise({exit_code, message}); }

  void tell_failure(const Failure& failure) { engine_.announce(failure); }
};

// The reason why a thread world failed: the first, but a rank that only lost its peers gives way to one that
// knows more.
class FirstError {
 public:
  void add(std::exception_ptr error, int exit_code) {
    const std::lock_guard lock(mutex_);
    if (error_ && (exit_code_ != 4 || exit_code == 4)) return;
    error_ = std::move(error);
    exit_code_ = exit_code;
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::mutex mutex_;
  std::exception_ptr error_;
  int exit_code_ = 0;
};

}  // namespace
}  // namespace comm

void run_on_threads(int ranks, const std::function<void(World&)>& body, const ThreadNetwork& network) {
  HW_CHECK(ranks >= 1, "{} ranks", ranks);
  const auto post = std::make_shared<comm::Post>(ranks, network);
  comm::FirstError first;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      comm::ThreadWorld world(post, rank);
      try {
        body(world);
        world.finish();
      } catch (...) {
        const Failure failure = failure_of(std::current_exception());
        first.add(std::current_exception(), failure.exit_code);
        world.tell_failure(failure);
      }
    });
  for (std::thread& thread : threads) thread.join();
  first.rethrow();
}

}  // namespace headwater
