#pragma once
// How many threads a rank uses: the host's ranks share the cores of the affinity mask.

namespace headwater {

// The number of cores in this process's affinity mask.
int available_cores();
// OMP_NUM_THREADS if that is set; otherwise the cores divided by the number of ranks on this host, at
// least 1.
int threads_for(int local_ranks);

}  // namespace headwater
