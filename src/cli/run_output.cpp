#include "run_output.h"

#include "headwater/base/error.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

namespace headwater {
namespace {

constexpr std::size_t kRoom = std::size_t{1} << 20;  // bytes that may wait
constexpr std::chrono::seconds kPatience{2};         // at the end

// 0, or the error that ended it.
int write_all(int descriptor, const std::string& text) {
  for (std::size_t written = 0; written < text.size();) {
    const ssize_t count = ::write(descriptor, text.data() + written, text.size() - written);
    if (count >= 0)
      written += static_cast<std::size_t>(count);
    else if (errno != EINTR)
      return errno;
  }
  return 0;
}

}  // namespace

struct RunOutput::Shared {
  std::mutex mutex;
  std::condition_variable changed;
  std::string waiting;
  std::int64_t left_out = 0;  // pieces, since something was last taken
  bool writing = false, closed = false;
  int error = 0;

  void write_what_comes(int descriptor) {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return closed || !waiting.empty(); });
      if (waiting.empty()) return;
      std::string text = std::exchange(waiting, {});
      if (left_out > 0)
        text += fmt::format(" [{} pieces of output were left out: nobody took them]\n", left_out);
      left_out = 0;
      writing = true;
      lock.unlock();
      const int result = write_all(descriptor, text);
      lock.lock();
      writing = false;
      if (error == 0) error = result;
      changed.notify_all();
    }
  }
};

RunOutput::RunOutput(int descriptor) : shared_(std::make_shared<Shared>()), stream_(this) {
  std::thread([descriptor, shared = shared_] { shared->write_what_comes(descriptor); }).detach();
}

RunOutput::~RunOutput() {
  try {
    close();
  } catch (const SystemError&) {
    // Who wants to hear of it calls close().
  }
}

void RunOutput::close() {
  sync();
  std::unique_lock lock(shared_->mutex);
  shared_->closed = true;
  shared_->changed.notify_all();
  shared_->changed.wait_for(lock, kPatience,
                            [this] { return shared_->waiting.empty() && !shared_->writing; });
  if (const int error = std::exchange(shared_->error, 0); error != 0)
    throw_errno(error, "write", "to standard output");
}

RunOutput::int_type RunOutput::overflow(int_type character) {
  if (!traits_type::eq_int_type(character, traits_type::eof()))
    piece_ += traits_type::to_char_type(character);
  return traits_type::not_eof(character);
}

std::streamsize RunOutput::xsputn(const char* text, std::streamsize size) {
  piece_.append(text, static_cast<std::size_t>(size));
  return size;
}

int RunOutput::sync() {
  const std::string piece = std::exchange(piece_, {});
  if (piece.empty()) return 0;
  const std::lock_guard lock(shared_->mutex);
  if (shared_->waiting.size() + piece.size() > kRoom) {
    ++shared_->left_out;
  } else {
    shared_->waiting += piece;
    shared_->changed.notify_all();
  }
  return 0;
}

}  // namespace headwater
