#include "distributed_world.h"
#include "thread_transport.h"

namespace headwater {
namespace comm {
namespace {

class ThreadWorld final : public DistributedWorld {
 public:
  ThreadWorld(const std::shared_ptr<Mailboxes>& mailboxes, int rank)
      : DistributedWorld([mailboxes, rank] { return make_thread_transport(mailboxes, rank); }) {}

  // Throws, which ends this thread's body. The waits of the other ranks throw then, and run_on_threads throws
  // the reason.
  [[noreturn]] void fail(const std::string& message, int exit_code) override { raise({exit_code, message}); }

  void tell_failure(const Failure& failure) { engine_.announce_failure(failure); }
};

// Keeps the error that run_on_threads throws: the first, but a CommError gives way to any other kind, as a
// rank that only lost its peers does not know why.
class FirstError {
 public:
  void add(std::exception_ptr error, int exit_code) {
    const std::lock_guard lock(mutex_);
    if (error_ && (exit_code_ != CommError::kExitCode || exit_code == CommError::kExitCode)) return;
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
  const auto mailboxes = std::make_shared<comm::Mailboxes>(ranks, network);
  comm::FirstError first;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank)
    threads.emplace_back([&, rank] {
      comm::ThreadWorld world(mailboxes, rank);
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
