#include "nccl_communicator.h"

#include "group_communicator.h"

#include <algorithm>
#include <map>

namespace headwater::comm {
namespace {

ncclDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return ncclFloat32;
    case DType::f64: return ncclFloat64;
    case DType::bf16: return ncclBfloat16;
    case DType::i32: return ncclInt32;
    default: throw InternalError("{} does not travel", name_of(dtype));
  }
}

std::size_t count_of(TensorView x) { return static_cast<std::size_t>(x.elements()); }

// The step that ends when the device has executed the call.
class WatchStep final : public Step {
 public:
  WatchStep(std::shared_ptr<Group> group, std::shared_ptr<cuda::Mark> mark)
      : group_(std::move(group)), mark_(std::move(mark)) {}
  bool run(Transport&) override {
    static_cast<NcclGroup&>(*group_).check_for_errors();
    return mark_->done();
  }

 private:
  std::shared_ptr<Group> group_;
  std::shared_ptr<cuda::Mark> mark_;
};

// The event of a call. A device also gets past calls that were aborted, so wait() asks afterwards whether
// communication has failed.
class CallEvent final : public cuda::StreamEvent {
 public:
  CallEvent(const ProgressEngine& engine, std::shared_ptr<cuda::Mark> mark,
            std::shared_ptr<Operation> operation)
      : engine_(engine), mark_(std::move(mark)), operation_(std::move(operation)) {}

  bool done() const override { return operation_->done() || mark_->done(); }
  void wait() override {
    if (!mark_->done()) operation_->wait();
    engine_.throw_if_broken();
  }
  cudaEvent_t get() const override { return mark_->get(); }
  bool may_fail() const override { return true; }

 private:
  const ProgressEngine& engine_;
  std::shared_ptr<cuda::Mark> mark_;
  std::shared_ptr<Operation> operation_;
};

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(ProgressEngine& engine, std::unique_ptr<Communicator> host, const std::vector<int>& ranks,
                   const Traffic& traffic, const MakeNcclGroup& make)
      : engine_(engine), host_(std::move(host)), ranks_(ranks) {
    if (traffic.collectives != Traffic::Collectives::none) {
      NcclId id = rank() == 0 ? new_nccl_id() : NcclId{};
      host_->broadcast(view(id), 0).wait();
      collectives_ = make(ranks, id, traffic.collectives, -1);
    }
    for (const auto& [from, to] : traffic.messages) {
      HW_CHECK(from != to && std::min(from, to) >= 0 && std::max(from, to) < size(),
               "messages from {} to {} of {} ranks", from, to, size());
      if (rank() != from && rank() != to) continue;
      NcclId id{};
      if (rank() == from) {
        id = new_nccl_id();
        host_->send(view(id), to).wait();
      } else {
        host_->receive(view(id), from).wait();
      }
      const auto [low, high] = std::minmax(from, to);
      messages_[{from, to}] =
          make({world_rank(low), world_rank(high)}, id, Traffic::Collectives::none, from < to ? 0 : 1);
    }
  }

  const std::string& name() const override { return host_->name(); }
  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }

  Event all_reduce(TensorView data, ReduceOp op, Event after) override {
    if (on_host(data)) return host_->all_reduce(data, op, std::move(after));
    check_all_reduce(data, op);
    return collective("all_reduce", data, after, [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllReduce(data.data, data.data, count_of(data), type_of(data.dtype),
                           op == ReduceOp::sum ? ncclSum : ncclMax, comm, stream);
    });
  }

  Event reduce_scatter(TensorView in, TensorView out, Event after) override {
    if (on_host(in)) return host_->reduce_scatter(in, out, std::move(after));
    check_parts(in, out, size());
    return collective("reduce_scatter", in, after, [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclReduceScatter(in.data, out.data, count_of(out), type_of(in.dtype), ncclSum, comm, stream);
    });
  }

  Event all_gather(TensorView in, TensorView out, Event after) override {
    if (on_host(in)) return host_->all_gather(in, out, std::move(after));
    check_parts(out, in, size());
    return collective("all_gather", out, after, [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclAllGather(in.data, out.data, count_of(in), type_of(in.dtype), comm, stream);
    });
  }

  Event broadcast(TensorView data, int root, Event after) override {
    if (on_host(data)) return host_->broadcast(data, root, std::move(after));
    check_dense(data);
    return collective("broadcast", data, after, [&](ncclComm_t comm, cudaStream_t stream) {
      return ncclBroadcast(data.data, data.data, count_of(data), type_of(data.dtype), root, comm, stream);
    });
  }

  Event all_to_all(TensorView in, TensorView out, Event after) override {
    if (on_host(in)) return host_->all_to_all(in, out, std::move(after));
    check_parts(in, out, 1);
    HW_CHECK(in.elements() % size() == 0, "{} elements for {} ranks", in.elements(), size());
    const std::size_t count = count_of(in) / static_cast<std::size_t>(size()),
                      bytes = count * size_of(in.dtype);
    return collective("all_to_all", in, after, [&](ncclComm_t comm, cudaStream_t stream) {
      const auto part = [&](TensorView x, int member) {
        return static_cast<std::byte*>(x.data) + static_cast<std::size_t>(member) * bytes;
      };
      ncclResult_t result = ncclGroupStart();
      for (int peer = 0; peer < size() && result == ncclSuccess; ++peer) {
        result = ncclSend(part(in, peer), count, type_of(in.dtype), peer, comm, stream);
        if (result == ncclSuccess)
          result = ncclRecv(part(out, peer), count, type_of(out.dtype), peer, comm, stream);
      }
      const ncclResult_t ended = ncclGroupEnd();
      return result == ncclSuccess ? ended : result;
    });
  }

  Event send(TensorView data, int peer, Event after) override {
    if (on_host(data)) return host_->send(data, peer, std::move(after));
    return message(CallKind::send, data, rank(), peer, after,
                   [&](int there, ncclComm_t comm, cudaStream_t stream) {
                     return ncclSend(data.data, count_of(data), type_of(data.dtype), there, comm, stream);
                   });
  }

  Event receive(TensorView data, int peer, Event after) override {
    if (on_host(data)) return host_->receive(data, peer, std::move(after));
    return message(CallKind::receive, data, peer, rank(), after,
                   [&](int there, ncclComm_t comm, cudaStream_t stream) {
                     return ncclRecv(data.data, count_of(data), type_of(data.dtype), there, comm, stream);
                   });
  }

 private:
  template <std::size_t N>
  static TensorView view(std::array<std::int32_t, N>& words) {
    return {words.data(), DType::i32, {static_cast<std::int64_t>(N)}};
  }
  static bool on_host(TensorView data) { return data.device.kind == Device::Kind::cpu; }
  int world_rank(int member) const { return ranks_[static_cast<std::size_t>(member)]; }

  template <class Launch>
  Event collective(const char* operation, TensorView data, const Event& after, const Launch& launch) {
    HW_CHECK(collectives_ != nullptr, "group {} was made without collectives on {}", name(),
             name_of(data.device));
    return queue({.group = collectives_, .operation = operation}, data, after, launch);
  }

  // `launch` is called with the peer's number within the pair's group, 0 or 1.
  template <class Launch>
  Event message(CallKind kind, TensorView data, int from, int to, const Event& after, const Launch& launch) {
    check_dense(data);
    const auto channel = messages_.find({from, to});
    HW_CHECK(channel != messages_.end(), "group {} was made without messages from {} to {} on {}", name(),
             from, to, name_of(data.device));
    const int there = 1 - channel->second->index;
    const bool sends = kind == CallKind::send;
    return queue(
        {.group = channel->second,
         .kind = kind,
         .peer = there,
         .operation =
             fmt::format("{} {}", sends ? "send to" : "receive from", world_rank(sends ? to : from))},
        data, after, [&](ncclComm_t comm, cudaStream_t stream) { return launch(there, comm, stream); });
  }

  template <class Launch>
  Event queue(Call call, TensorView data, const Event& after, const Launch& launch) {
    engine_.throw_if_broken();
    auto& group = static_cast<NcclGroup&>(*call.group);
    std::shared_ptr<cuda::Mark> mark;
    try {
      mark = group.queue(after, launch);
    } catch (const CommError&) {
      engine_.throw_if_broken();  // the group was aborted meanwhile; why is the better reason
      throw;
    }
    call.bytes = static_cast<std::int64_t>(data.bytes());
    Steps steps;
    steps.push_back(std::make_unique<WatchStep>(call.group, mark));
    return Event(
        std::make_shared<CallEvent>(engine_, mark, engine_.submit(std::move(call), std::move(steps), after)));
  }

  ProgressEngine& engine_;
  std::unique_ptr<Communicator> host_;
  std::vector<int> ranks_;  // of the world
  std::shared_ptr<NcclGroup> collectives_;
  std::map<std::pair<int, int>, std::shared_ptr<NcclGroup>> messages_;  // by (from, to)
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(ProgressEngine& engine,
                                                     std::unique_ptr<Communicator> host,
                                                     const std::vector<int>& ranks, const Traffic& traffic,
                                                     const MakeNcclGroup& make) {
  return std::make_unique<NcclCommunicator>(engine, std::move(host), ranks, traffic, make);
}

}  // namespace headwater::comm
