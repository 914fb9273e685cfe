# The image of the operator: `docker build -t copilot-operator .`. `make images` builds the same file (docs/images.md).
ARG BASE=node:24-bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
# For a mirror: --build-arg NPM_CONFIG_REGISTRY=URL
ARG NPM_CONFIG_REGISTRY
COPY package.json package-lock.json .npmrc ./
# Not `npm ci`, as in the Makefile: a registry need not serve every platform's optional packages.
RUN npm install --no-save --ignore-scripts
COPY . .
RUN node scripts/build.ts

# A stage of its own, so that a bundle that exists already can take its place: --build-context bundle=dist.
FROM scratch AS bundle
COPY --from=build /src/dist/ /

FROM ${BASE}
COPY --from=bundle --chown=0:0 *.js *.js.map LICENSE THIRD-PARTY-LICENSES /opt/copilot-operator/
# V8's code cache, filled once here: it saves a third of the start time, and 20 MB of memory in each replica.
# The command fails at the missing kubeconfig, after everything has been loaded; what counts is the cache.
ENV NODE_COMPILE_CACHE=/opt/copilot-operator/compile-cache
RUN node --min-semi-space-size=4 --max-semi-space-size=4 --v8-pool-size=1 --max-opt=2 "--import=data:text/javascript,process.getBuiltinModule('v8').setFlagsFromString('--optimize-for-size')" /opt/copilot-operator/main.js operator --server-image=none --operator-image=none --kubeconfig=/nonexistent >/dev/null 2>&1; test -n "$(ls "$NODE_COMPILE_CACHE")"
# Again for the gateway, whose Deployment has other flags: V8 does not use what was compiled with others.
RUN node --v8-pool-size=1 --max-semi-space-size=4 --heap-growing-percent=50 /opt/copilot-operator/main.js gateway --kubeconfig=/nonexistent >/dev/null 2>&1; test "$(ls "$NODE_COMPILE_CACHE" | wc -l)" -ge 2
# A number: for a pod with runAsNonRoot, the kubelet cannot verify that a name is not root.
USER 65532:65532
WORKDIR /
# Nothing writes to the disk, so the root can be read-only. The map of main.js is for reading a stack trace by hand:
# NODE_OPTIONS=--enable-source-maps reads it at run time, for 85 MB more.
ENV NODE_ENV=production
# Less memory that glibc keeps: one arena instead of one a thread (3 MB each), and free memory at the end of the heap (2 to 8 MB).
ENV MALLOC_ARENA_MAX=1
ENV MALLOC_TRIM_THRESHOLD_=131072
# node is PID 1: it receives SIGTERM directly and stops gracefully. The flags trade speed that is not needed (the API server
# is the bottleneck) for memory: 4 MB for short-lived objects instead of 16; one helper thread instead of four, 15 MB; and no third
# compiler (TurboFan), which takes 3 to 7 MB and saves no CPU at this load. The heap grows in small steps, by a flag that is set when V8
# runs: on the command line it would also leave 1 MB for short-lived objects, whatever else is asked for (docs/adr/0049-cpu-time.md).
# What a compiler used for a moment is given back at once instead of staying in gaps of the heap (8 MB): blocks from 16 KB on are mapped.
# Only here, because the gateway reads its sockets into such blocks.
ENTRYPOINT ["env", "MALLOC_MMAP_THRESHOLD_=16384", "node", "--min-semi-space-size=4", "--max-semi-space-size=4", "--v8-pool-size=1", "--max-opt=2", "--import=data:text/javascript,process.getBuiltinModule('v8').setFlagsFromString('--optimize-for-size')", "/opt/copilot-operator/main.js"]
CMD ["operator"]
