#pragma once
// Order between pieces of work without making the host wait.
//
// A Queue runs work in order on one device: a GPU's queue is a CUDA stream, and the CPU's runs work at once
// in the calling thread. An Event stands for a point in a queue, and is done once all work before that point
// is. A default-constructed Event is done. Events are cheap handles that threads may share; a Queue belongs
// to one thread.

#include "headwater/tensor/device.h"

#include <memory>
#include <utility>

namespace headwater {

class EventState {
 public:
  virtual ~EventState() = default;
  virtual bool done() const = 0;
  // Blocks the host until done. Throws the error that made the work fail, such as CommError for a lost peer.
  virtual void wait() = 0;
};

class Event {
 public:
  Event() = default;
  explicit Event(std::shared_ptr<EventState> state) : state_(std::move(state)) {}
  bool done() const { return state_ == nullptr || state_->done(); }
  void wait() const {
    if (state_) state_->wait();
  }
  EventState* state() const { return state_.get(); }

 private:
  std::shared_ptr<EventState> state_;
};

class Queue {
 public:
  virtual ~Queue() = default;
  virtual Device device() const = 0;
  virtual Event record() = 0;                 // an event that is done when all work queued so far is
  virtual void wait(const Event& event) = 0;  // work queued later starts after `event`
  virtual void synchronize() = 0;             // blocks the host until all queued work is done
};

// The CPU's queue: work runs in the caller, so record() is done at once and wait() blocks.
class CpuQueue final : public Queue {
 public:
  Device device() const override { return {}; }
  Event record() override { return {}; }
  void wait(const Event& event) override { event.wait(); }
  void synchronize() override {}
};

}  // namespace headwater
