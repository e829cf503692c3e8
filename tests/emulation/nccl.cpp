// NCCL's calls: what they are given is checked, what is right is queued on its communicator and stream, at
// the end of the group where there is one. Any thread may call.

#include "nccl.h"

#include "emulation/settings.h"
#include "nccl_arithmetic.h"
#include "nccl_bootstrap.h"
#include "nccl_registry.h"
#include "runtime.h"

namespace emulation::nccl {
namespace {

using Kind = Shape::Kind;

thread_local std::string last_error;

// Calls since ncclGroupStart, with their communicators, in the order of the program.
struct Group {
  int depth = 0;
  ncclResult_t error = ncclSuccess;  // of the first call that was refused
  struct Member {
    std::shared_ptr<Communicator> communicator;
    Call call;
    cudaStream_t stream;
  };
  std::vector<Member> members;
};
thread_local Group group;

ncclResult_t refused(ncclResult_t code, const std::string& text) {
  last_error = text;
  if (group.depth > 0 && group.error == ncclSuccess) group.error = code;
  return code;
}

// A mistake of the program, which it may not get away with by not looking at the code.
ncclResult_t fault(ncclResult_t code, const std::string& text) {
  report_fault(text);
  return refused(code, text);
}

bool overlap(const Region& a, const Region& b) {
  const auto *const first = static_cast<unsigned char*>(a.begin), *const second =
                                                                      static_cast<unsigned char*>(b.begin);
  return a.bytes > 0 && b.bytes > 0 && first < second + b.bytes && second < first + a.bytes;
}

// Whether one call's input and output lie as NCCL lets them: apart, or as its in-place form has them.
bool placed_well(const Call& call, const Rank& at) {
  const Region input = input_of(call, at), output = output_of(call, at);
  if (!overlap(input, output)) return true;
  const auto *const in = static_cast<unsigned char*>(input.begin), *const out = static_cast<unsigned char*>(
                                                                       output.begin);
  const auto rank = static_cast<std::size_t>(at.rank);
  switch (call.shape.kind) {
    case Kind::all_reduce:
    case Kind::broadcast: return in == out;
    case Kind::reduce_scatter: return out == in + rank * output.bytes;
    case Kind::all_gather: return in == out + rank * input.bytes;
    case Kind::message: break;
  }
  return true;
}

constexpr int kMostBlocks = 64, kUsualBlocks = 32;

int blocks_of(const ncclConfig_t& config) {
  return config.maxCTAs == NCCL_CONFIG_UNDEF_INT ? kUsualBlocks : config.maxCTAs;
}

std::string mistake_in(const ncclConfig_t* config) {
  const ncclConfig_t initial = NCCL_CONFIG_INITIALIZER;
  if (config == nullptr) return "no configuration";
  const bool initialised =
      config->size == initial.size && config->magic == initial.magic && config->version == initial.version;
  if (!initialised) return "a configuration that was not initialised";
  const int least = config->minCTAs == NCCL_CONFIG_UNDEF_INT ? 1 : config->minCTAs, most = blocks_of(*config);
  if (least < 1 || most < least || most > kMostBlocks)
    return std::to_string(least) + " to " + std::to_string(most) + " blocks; 1 to " +
           std::to_string(kMostBlocks) + " can be had";
  return "";
}

// In the words of a fault; empty where nothing is wrong.
std::string mistake_in(const Call& call, const Rank& at) {
  const auto type = static_cast<ncclDataType_t>(call.shape.type);
  const auto within = [&](int rank) { return rank >= 0 && rank < at.size(); };
  if (size_of(type) == 0)
    return " is given type " + std::to_string(call.shape.type) + ", which is not emulated";
  const bool reduces = call.shape.kind == Kind::all_reduce || call.shape.kind == Kind::reduce_scatter;
  if (reduces && !reducible(type, static_cast<ncclRedOp_t>(call.shape.op)))
    return " is given op " + std::to_string(call.shape.op) + " of type " + std::to_string(call.shape.type) +
           ", which is not emulated";
  const int other = call.shape.kind == Kind::message ? call.peer : call.shape.root;
  if (!within(other)) return " is given rank " + std::to_string(other) + " of " + std::to_string(at.size());
  if (!placed_well(call, at)) return " is given an input and an output that overlap";
  return "";
}

ncclResult_t launch(const std::vector<Group::Member>& members) {
  StreamLock lock;
  for (const Group::Member& member : members) member.communicator->begin_to_connect(member.call);
  for (const Group::Member& member : members) member.communicator->connect(member.call, lock);
  std::vector<std::pair<Communicator*, std::vector<std::pair<Call, Stream*>>>> launches;
  for (const Group::Member& member : members) {
    Stream* const stream = find_stream(member.stream);
    if (stream == nullptr)
      return fault(ncclInvalidArgument, member.call.name + " is given a stream that is none");
    if (stream->capture != nullptr)
      return fault(ncclInvalidUsage, member.call.name + " is captured in a graph, which is not emulated");
    if (member.communicator->aborted())
      return refused(ncclInvalidUsage, member.call.name + " on a communicator that was aborted");
    auto found = std::find_if(launches.begin(), launches.end(),
                              [&](const auto& each) { return each.first == member.communicator.get(); });
    if (found == launches.end()) found = launches.insert(launches.end(), {member.communicator.get(), {}});
    found->second.emplace_back(member.call, stream);
  }
  for (auto& [communicator, calls] : launches) communicator->launch(std::move(calls));
  return ncclSuccess;
}

ncclResult_t make(Call call, ncclComm_t handle, cudaStream_t stream) {
  if (faulty()) return refused(ncclUnhandledCudaError, call.name + " on a device at fault");
  auto communicator = find_communicator(handle);
  if (communicator == nullptr)
    return refused(ncclInvalidUsage, call.name + " on a communicator that is none");
  if (const std::string mistake = mistake_in(call, communicator->at()); !mistake.empty())
    return fault(ncclInvalidArgument, call.name + mistake);
  // dropped, as by the library
  if (call.shape.count == 0 && call.shape.kind != Kind::message) return ncclSuccess;
  Group::Member member{std::move(communicator), std::move(call), stream};
  if (group.depth == 0) return launch({std::move(member)});
  group.members.push_back(std::move(member));
  return ncclSuccess;
}

}  // namespace
}  // namespace emulation::nccl

using emulation::nccl::fault;
using emulation::nccl::group;
using emulation::nccl::make;
using emulation::nccl::refused;
using Kind = emulation::nccl::Shape::Kind;

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = emulation::nccl::random_id();
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess: return "no error";
    case ncclUnhandledCudaError: return "unhandled cuda error";
    case ncclSystemError: return "unhandled system error";
    case ncclInternalError: return "internal error";
    case ncclInvalidArgument: return "invalid argument";
    case ncclInvalidUsage: return "invalid usage";
    case ncclRemoteError: return "remote process exited or there was a network error";
    case ncclInProgress: return "operation in progress";
  }
  return "unknown result code";
}

const char* ncclGetLastError(ncclComm_t) { return emulation::nccl::last_error.c_str(); }

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int nranks, ncclUniqueId id, int rank) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  return ncclCommInitRankConfig(comm, nranks, id, rank, &config);
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int nranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (emulation::faulty()) return refused(ncclUnhandledCudaError, "ncclCommInitRank on a device at fault");
  if (const std::string mistake = emulation::nccl::mistake_in(config); !mistake.empty())
    return fault(ncclInvalidArgument, "ncclCommInitRankConfig is given " + mistake);
  if (emulation::settings().devices == 0)
    return refused(ncclUnhandledCudaError, "ncclCommInitRank finds no device");
  if (group.depth > 0) return fault(ncclInvalidUsage, "ncclCommInitRank in a group, which is not emulated");
  if (nranks < 1 || rank < 0 || rank >= nranks)
    return fault(ncclInvalidArgument,
                 "ncclCommInitRank is given rank " + std::to_string(rank) + " of " + std::to_string(nranks));
  try {
    auto met = emulation::nccl::meet(id, rank, nranks, emulation::current_device());
    const int device = met.device, blocks = emulation::nccl::blocks_of(*config);
    *comm = add_communicator(std::make_shared<emulation::nccl::Communicator>(std::move(met), blocks));
    const int all = emulation::nccl::blocks_on(device), room = emulation::kMultiprocessors;
    if (all > room)
      return fault(ncclInvalidUsage,
                   "the communicators of device " + std::to_string(device) + " may take " +
                       std::to_string(all) + " blocks at once, and it has " + std::to_string(room) +
                       " multiprocessors: calls that wait for their peers could keep others from starting");
    return ncclSuccess;
  } catch (const emulation::nccl::Failure& failure) {
    return refused(failure.code, "ncclCommInitRank of rank " + std::to_string(rank) + " " + failure.text);
  }
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  const auto communicator = emulation::nccl::find_communicator(comm);
  if (communicator == nullptr)
    return refused(ncclInvalidUsage, "ncclCommDestroy of a communicator that is none");
  {
    emulation::StreamLock lock;
    communicator->finish(lock);
  }
  emulation::nccl::remove_communicator(comm);
  return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  const auto communicator = emulation::nccl::remove_communicator(comm);
  if (communicator == nullptr)
    return refused(ncclInvalidUsage, "ncclCommAbort of a communicator that is none");
  const emulation::StreamLock lock;
  communicator->abort();
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  const auto communicator = emulation::nccl::find_communicator(comm);
  if (communicator == nullptr)
    return refused(ncclInvalidUsage, "ncclCommGetAsyncError of a communicator that is none");
  *error = communicator->state();
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* send, void* receive, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return make({"ncclAllReduce", {Kind::all_reduce, type, op, 0, count}, send, receive, 0}, comm, stream);
}

ncclResult_t ncclReduceScatter(const void* send, void* receive, std::size_t receive_count,
                               ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return make({"ncclReduceScatter", {Kind::reduce_scatter, type, op, 0, receive_count}, send, receive, 0},
              comm, stream);
}

ncclResult_t ncclAllGather(const void* send, void* receive, std::size_t send_count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return make({"ncclAllGather", {Kind::all_gather, type, 0, 0, send_count}, send, receive, 0}, comm, stream);
}

ncclResult_t ncclBroadcast(const void* send, void* receive, std::size_t count, ncclDataType_t type, int root,
                           ncclComm_t comm, cudaStream_t stream) {
  return make({"ncclBroadcast", {Kind::broadcast, type, 0, root, count}, send, receive, 0}, comm, stream);
}

ncclResult_t ncclSend(const void* send, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return make({"ncclSend", {Kind::message, type, 0, 0, count}, send, nullptr, peer}, comm, stream);
}

ncclResult_t ncclRecv(void* receive, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return make({"ncclRecv", {Kind::message, type, 0, 0, count}, nullptr, receive, peer}, comm, stream);
}

ncclResult_t ncclGroupStart() {
  if (group.depth++ == 0) group.error = ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (group.depth == 0) return fault(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--group.depth > 0) return group.error;
  const auto members = std::exchange(group.members, {});
  return group.error != ncclSuccess ? group.error : emulation::nccl::launch(members);
}
