#pragma once
// A communicator for tests that moves tensors of the host through a device's memory.

#include "headwater/comm/communicator.h"
#include "headwater/tensor/cuda/memory.h"

#include <functional>
#include <memory>

namespace headwater::test {

// A copy on a device of a tensor of the host.
class Twin {
 public:
  Twin(Device device, TensorView host)
      : host_(host),
        memory_(cuda::allocate(device, static_cast<std::int64_t>(host.bytes()), "a test")),
        on_device_(memory_.get(), host.dtype, host.shape, device) {}
  Twin(Device device, TensorView host, void* memory)
      : host_(host), on_device_(memory, host.dtype, host.shape, device) {}

  TensorView on_device() const { return on_device_; }
  void there() const { copy(on_device_.data, host_.data, cudaMemcpyHostToDevice); }
  void back() const { copy(host_.data, on_device_.data, cudaMemcpyDeviceToHost); }

 private:
  void copy(void* to, const void* from, cudaMemcpyKind kind) const {
    // Waits for this copy only, not for the device, where calls may wait for what this rank does next.
    HW_CUDA("a test", cudaMemcpyAsync(to, from, host_.bytes(), kind, nullptr));
    HW_CUDA("a test", cudaStreamSynchronize(nullptr));
  }
  TensorView host_;
  std::shared_ptr<std::byte> memory_;
  TensorView on_device_;
};

class OnDevice final : public Communicator {
 public:
  OnDevice(std::unique_ptr<Communicator> inner, Device device)
      : inner_(std::move(inner)), device_(device), memory_(cuda::allocate(device, kBytes, "a test")) {}

  const std::string& name() const override { return inner_->name(); }
  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }

  Event all_reduce(TensorView data, ReduceOp op, Event after) override {
    return run(data, data, after, [&](TensorView d, TensorView) { return inner_->all_reduce(d, op); });
  }
  Event reduce_scatter(TensorView in, TensorView out, Event after) override {
    return run(in, out, after, [&](TensorView i, TensorView o) { return inner_->reduce_scatter(i, o); });
  }
  Event all_gather(TensorView in, TensorView out, Event after) override {
    return run(in, out, after, [&](TensorView i, TensorView o) { return inner_->all_gather(i, o); });
  }
  Event broadcast(TensorView data, int root, Event after) override {
    return run(data, data, after, [&](TensorView d, TensorView) { return inner_->broadcast(d, root); });
  }
  Event send(TensorView data, int peer, Event after) override {
    return run(data, data, after, [&](TensorView d, TensorView) { return inner_->send(d, peer); });
  }
  Event receive(TensorView data, int peer, Event after) override {
    return run(data, data, after, [&](TensorView d, TensorView) { return inner_->receive(d, peer); });
  }
  Event all_to_all(TensorView in, TensorView out, Event after) override {
    return run(in, out, after, [&](TensorView i, TensorView o) { return inner_->all_to_all(i, o); });
  }

 private:
  static constexpr std::int64_t kBytes =
      64 << 20;  // taken at the start, since an allocation waits for all calls under way

  class Back final : public EventState {
   public:
    Back(Event call, Twin out, std::shared_ptr<void> in_use)
        : call_(std::move(call)), out_(std::move(out)), in_use_(std::move(in_use)) {}
    bool done() const override { return call_.done(); }
    void wait() override {
      call_.wait();
      out_.back();
    }

   private:
    Event call_;
    Twin out_;
    std::shared_ptr<void> in_use_;
  };

  // Takes memory for a copy of `host`. All memory is given back once no call is under way.
  Twin twin(TensorView host) {
    constexpr std::size_t kAlignment = 256;
    std::byte* const begin = memory_.get() + taken_;
    taken_ += (host.bytes() + kAlignment - 1) / kAlignment * kAlignment;
    HW_CHECK(taken_ <= static_cast<std::size_t>(kBytes), "the test has {} bytes on the device", kBytes);
    return {device_, host, begin};
  }

  template <class Call>
  Event run(TensorView in, TensorView out, const Event& after, const Call& call) {
    after.wait();
    if (calls_.use_count() == 1) taken_ = 0;
    const Twin from = twin(in);
    from.there();
    const bool in_place = out.data == in.data && out.bytes() == in.bytes();
    const Twin to = in_place ? Twin(device_, in, from.on_device().data) : twin(out);
    Event queued = call(from.on_device(), to.on_device());
    return Event(std::make_shared<Back>(std::move(queued), to, calls_));
  }

  std::unique_ptr<Communicator> inner_;
  Device device_;
  DeviceMemory memory_;
  std::size_t taken_ = 0;
  // Held once by this object, and once by each call under way.
  std::shared_ptr<void> calls_ = std::make_shared<int>();
};

}  // namespace headwater::test
