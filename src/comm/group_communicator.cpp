#include "group_communicator.h"

namespace headwater::comm {

void check_dense(TensorView view) {
  HW_CHECK(view.dense(), "communicated tensors are dense, not {} with row stride {}", to_string(view.shape),
           view.row_stride);
}

void check_all_reduce(TensorView data, ReduceOp op) {
  check_dense(data);
  HW_CHECK(op == ReduceOp::sum || data.dtype != DType::bf16, "the maximum of bf16");
}

void check_parts(TensorView whole, TensorView part, int size) {
  check_dense(whole);
  check_dense(part);
  HW_CHECK(whole.dtype == part.dtype, "{} against {}", name_of(whole.dtype), name_of(part.dtype));
  HW_CHECK(whole.device == part.device, "{} against {}", name_of(whole.device), name_of(part.device));
  HW_CHECK(whole.elements() == part.elements() * size, "{} elements are not {} times {}", whole.elements(),
           size, part.elements());
}

GroupCommunicator::GroupCommunicator(ProgressEngine& engine, std::shared_ptr<Group> group)
    : engine_(engine), group_(std::move(group)) {}

Event GroupCommunicator::submit(CallKind kind, int peer, std::string operation, TensorView data, Steps steps,
                                Event after) {
  HW_CHECK(data.device.kind == Device::Kind::cpu, "tensor on {}", name_of(data.device));
  Call call{.group = group_, .kind = kind, .peer = peer, .operation = std::move(operation)};
  call.bytes = static_cast<std::int64_t>(data.bytes());
  return Event(engine_.submit(std::move(call), std::move(steps), std::move(after)));
}

Event GroupCommunicator::all_reduce(TensorView data, ReduceOp op, Event after) {
  check_all_reduce(data, op);
  return submit(CallKind::collective, -1, "all_reduce", data, all_reduce_steps(group_, data, op),
                std::move(after));
}

Event GroupCommunicator::reduce_scatter(TensorView in, TensorView out, Event after) {
  check_parts(in, out, size());
  return submit(CallKind::collective, -1, "reduce_scatter", in, reduce_scatter_steps(group_, in, out),
                std::move(after));
}

Event GroupCommunicator::all_gather(TensorView in, TensorView out, Event after) {
  check_parts(out, in, size());
  return submit(CallKind::collective, -1, "all_gather", out, all_gather_steps(*group_, in, out),
                std::move(after));
}

Event GroupCommunicator::broadcast(TensorView data, int root, Event after) {
  check_dense(data);
  HW_CHECK(root >= 0 && root < size(), "root {} of {} ranks", root, size());
  return submit(CallKind::collective, -1, "broadcast", data, broadcast_steps(*group_, data, root),
                std::move(after));
}

Event GroupCommunicator::all_to_all(TensorView in, TensorView out, Event after) {
  check_parts(in, out, 1);
  HW_CHECK(in.elements() % size() == 0, "{} elements for {} ranks", in.elements(), size());
  return submit(CallKind::collective, -1, "all_to_all", in, all_to_all_steps(*group_, in, out),
                std::move(after));
}

Event GroupCommunicator::send(TensorView data, int peer, Event after) {
  check_dense(data);
  HW_CHECK(peer >= 0 && peer < size() && peer != rank(), "rank {} of {} sends to {}", rank(), size(), peer);
  return submit(CallKind::send, peer, fmt::format("send to {}", group_->world_rank(peer)), data,
                send_steps(*group_, data, peer), std::move(after));
}

Event GroupCommunicator::receive(TensorView data, int peer, Event after) {
  check_dense(data);
  HW_CHECK(peer >= 0 && peer < size() && peer != rank(), "rank {} of {} receives from {}", rank(), size(),
           peer);
  return submit(CallKind::receive, peer, fmt::format("receive from {}", group_->world_rank(peer)), data,
                receive_steps(*group_, data, peer), std::move(after));
}

}  // namespace headwater::comm
