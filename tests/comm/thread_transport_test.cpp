// The transport of ranks that are threads tells an engine when there is something for it to do.

#include "src/comm/thread_transport.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace headwater::comm {
namespace {

// The transports of two ranks, and how often each has been told.
struct Pair {
  explicit Pair(const ThreadNetwork& network = {}) : mailboxes(std::make_shared<Mailboxes>(2, network)) {
    for (int rank = 0; rank < 2; ++rank) ranks.push_back(make_thread_transport(mailboxes, rank));
  }
  bool announce(int rank) {
    int& count = told[static_cast<std::size_t>(rank)];
    return ranks[static_cast<std::size_t>(rank)]->announce_to([&count] { ++count; });
  }

  std::shared_ptr<Mailboxes> mailboxes;
  std::vector<std::unique_ptr<Transport>> ranks;
  std::array<int, 2> told = {0, 0};
};

using Told = std::array<int, 2>;

TEST(ThreadTransport, TellsTheReceiverThatAMessageHasComeAndTheSenderThatItIsTaken) {
  Pair pair;
  ASSERT_TRUE(pair.announce(0) && pair.announce(1));
  const int sent = 41;
  int received = 0;
  const Transport::Request receive = pair.ranks[1]->receive(&received, sizeof received, 0, 3);
  EXPECT_FALSE(pair.ranks[1]->test(receive));
  EXPECT_EQ(pair.told, (Told{0, 0}));
  const Transport::Request send = pair.ranks[0]->send(&sent, sizeof sent, 1, 3);
  EXPECT_EQ(pair.told, (Told{0, 1}));
  EXPECT_FALSE(pair.ranks[0]->test(send));
  EXPECT_TRUE(pair.ranks[1]->test(receive));
  EXPECT_EQ(pair.told, (Told{1, 1}));
  EXPECT_TRUE(pair.ranks[0]->test(send));
  EXPECT_EQ(received, 41);
}

TEST(ThreadTransport, TellsOfControlMessages) {
  Pair pair;
  ASSERT_TRUE(pair.announce(0) && pair.announce(1));
  pair.ranks[1]->send_control(0, std::vector<std::byte>(8));
  EXPECT_EQ(pair.told, (Told{1, 0}));
}

TEST(ThreadTransport, TellsNobodyWhoHasLeft) {
  Pair pair;
  ASSERT_TRUE(pair.announce(1));
  pair.ranks[1].reset();
  const int sent = 41;
  pair.ranks[0]->send(&sent, sizeof sent, 1, 0);
  EXPECT_EQ(pair.told, (Told{0, 0}));
}

TEST(ThreadTransport, DoesNotPromiseItOverLinksThatTakeTime) {
  Pair pair({.ranks_per_host = 1, .bytes_per_second = 1e6, .latency_seconds = 1e-3});
  EXPECT_FALSE(pair.announce(0));
}

}  // namespace
}  // namespace headwater::comm
