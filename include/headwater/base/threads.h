#pragma once
// How many threads a rank uses: the affinity mask's cores shared out among the ranks of this host.

namespace headwater {

int available_cores();             // of the affinity mask
int threads_for(int local_ranks);  // at least 1; OMP_NUM_THREADS where set

}  // namespace headwater
