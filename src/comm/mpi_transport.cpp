#ifdef HEADWATER_HAVE_MPI

#include "mpi_transport.h"

#include "distributed_world.h"

// Keeps MPI's old C++ classes out of mpi.h.
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <unistd.h>
#include <array>
#include <list>

namespace headwater::comm {
namespace {

void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw CommError("{} failed: {}", call, std::string_view(text.data(), static_cast<std::size_t>(length)));
}

std::string library_name() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string_view all(text.data(), static_cast<std::size_t>(length));
  return std::string(all.substr(0, all.find_first_of(",\n")));
}

class MpiTransport final : public Transport {
 public:
  // Makes the only calls that block. All ranks make them at the same time, before training, and the launcher
  // ends the job if a rank dies meanwhile.
  MpiTransport(const std::string& launcher, int ranks) {
    int provided = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    if (provided < MPI_THREAD_FUNNELED)
      throw UserError("{} was built without threads; Headwater needs MPI_THREAD_FUNNELED", library_name());
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
    if (size_ != ranks)
      throw UserError(
          "{} started {} ranks, but this binary's {} sees {}: start it with that library's own mpirun",
          launcher, ranks, library_name(), size_);
    check(MPI_Comm_dup(MPI_COMM_WORLD, &data_), "MPI_Comm_dup");
    check(MPI_Comm_dup(MPI_COMM_WORLD, &control_), "MPI_Comm_dup");
    gather_hosts();
    find_local_ranks();
  }

  int rank() const override { return rank_; }
  const std::vector<std::string>& hosts() const override { return hosts_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }

  Request receive(void* data, std::size_t bytes, int peer, int channel) override {
    const Request request = free_slot();
    check(MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, peer, channel, data_, &slots_[request].handle),
          "MPI_Irecv");
    slots_[request].expected = static_cast<int>(bytes);
    return request;
  }

  void send_control(int peer, std::span<const std::byte> message) override {
    std::erase_if(outbox_, [](Outgoing& outgoing) {
      int sent = 0;
      check(MPI_Test(&outgoing.handle, &sent, MPI_STATUS_IGNORE), "MPI_Test");
      return sent != 0;
    });
    Outgoing& outgoing = outbox_.emplace_back();
    outgoing.message.assign(message.begin(), message.end());
    check(MPI_Isend(outgoing.message.data(), static_cast<int>(message.size()), MPI_BYTE, peer, 0, control_,
                    &outgoing.handle),
          "MPI_Isend");
  }

  bool receive_control(int& peer, std::vector<std::byte>& message) override {
    int present = 0;
    MPI_Status status;
    check(MPI_Iprobe(MPI_ANY_SOURCE, 0, control_, &present, &status), "MPI_Iprobe");
    if (present == 0) return false;
    int bytes = 0;
    check(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
    peer = status.MPI_SOURCE;
    message.resize(static_cast<std::size_t>(bytes));
    // This does not block: the message is short, so all of it is here.
    check(MPI_Recv(message.data(), bytes, MPI_BYTE, peer, 0, control_, MPI_STATUS_IGNORE), "MPI_Recv");
    return true;
  }

  // MPI can cancel neither a send nor a receive whose message has begun to arrive.
  bool abandon() override {
    bool ended = true;
    for (Slot& slot : slots_) {
      if (slot.handle == MPI_REQUEST_NULL) continue;
      if (slot.expected >= 0) MPI_Cancel(&slot.handle);
      int done = 0;
      MPI_Test(&slot.handle, &done, MPI_STATUS_IGNORE);
      ended = ended && done != 0;
    }
    return ended;
  }

  void close() override { check(MPI_Finalize(), "MPI_Finalize"); }

 private:
  struct Slot {
    MPI_Request handle = MPI_REQUEST_NULL;
    int expected = -1;  // bytes that a receive expects; −1 for a send
  };
  struct Outgoing {
    std::vector<std::byte> message;
    MPI_Request handle = MPI_REQUEST_NULL;
  };

  Request post_send(const void* data, std::size_t bytes, int peer, int channel) override {
    const Request request = free_slot();
    check(MPI_Isend(data, static_cast<int>(bytes), MPI_BYTE, peer, channel, data_, &slots_[request].handle),
          "MPI_Isend");
    return request;
  }

  bool finished(Request request) override {
    Slot& slot = slots_[request];
    int done = 0;
    MPI_Status status;
    check(MPI_Test(&slot.handle, &done, &status), "MPI_Test");
    if (done == 0) return false;
    int bytes = slot.expected;
    if (slot.expected >= 0) check(MPI_Get_count(&status, MPI_BYTE, &bytes), "MPI_Get_count");
    HW_CHECK(bytes == slot.expected, "rank {} sent {} bytes where rank {} expects {}", status.MPI_SOURCE,
             bytes, rank_, slot.expected);
    slot = {};
    free_.push_back(request);
    return true;
  }

  Request free_slot() {
    if (free_.empty()) {
      slots_.emplace_back();
      return slots_.size() - 1;
    }
    const Request request = free_.back();
    free_.pop_back();
    return request;
  }

  void gather_hosts() {
    constexpr std::size_t kLength = 256;
    std::array<char, kLength> mine{};
    host_name().copy(mine.data(), kLength - 1);
    std::vector<char> all(kLength * static_cast<std::size_t>(size_));
    check(MPI_Allgather(mine.data(), kLength, MPI_CHAR, all.data(), kLength, MPI_CHAR, data_),
          "MPI_Allgather");
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(size_); ++rank)
      hosts_.emplace_back(all.data() + rank * kLength);
  }

  // Counts the ranks on this host: those that share its memory, whatever the hosts are called.
  void find_local_ranks() {
    MPI_Comm local = MPI_COMM_NULL;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local),
          "MPI_Comm_split_type");
    check(MPI_Comm_rank(local, &local_rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(local, &local_size_), "MPI_Comm_size");
    check(MPI_Comm_free(&local), "MPI_Comm_free");
  }

  int rank_ = 0, size_ = 0, local_rank_ = 0, local_size_ = 0;
  std::vector<std::string> hosts_;
  MPI_Comm data_ = MPI_COMM_NULL, control_ = MPI_COMM_NULL;
  std::vector<Slot> slots_;
  std::vector<Request> free_;
  std::list<Outgoing> outbox_;
};

}  // namespace

std::unique_ptr<Transport> open_mpi_transport(const std::string& launcher, int ranks) {
  return std::make_unique<MpiTransport>(launcher, ranks);
}

void abort_mpi(int exit_code) {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  ::_exit(exit_code);
}

}  // namespace headwater::comm

#endif
