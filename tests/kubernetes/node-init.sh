#!/bin/bash
# node-init.sh DIRECTORY: pid 1 of the node's namespaces (network, mounts, pids), started by cluster.py. State is under
# DIRECTORY/run, logs under DIRECTORY/run/log. With it ends everything.
set -u
root=$1
here=$(cd "$(dirname "$0")" && pwd)
run=$root/run log=$root/run/log pki=$root/run/pki node=10.99.0.1
export PATH=$root/bin:/usr/sbin:/usr/bin:/sbin:/bin
socket=/run/containerd/containerd.sock
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/netns /run/sysctl /var/lib/cni
mount -t tmpfs tmpfs /var/lib/cni
mount --bind "$log" /var/log

# kubelet wants to set these for the whole machine: private files that hold the values already are put over them.
pretend() {
	echo "$2" >"/run/sysctl/${1//\//.}"
	mount --bind "/run/sysctl/${1//\//.}" "/proc/sys/$1"
}
pretend vm/overcommit_memory 1
pretend vm/panic_on_oom 0
pretend kernel/panic 10
pretend kernel/panic_on_oops 1
pretend kernel/keys/root_maxkeys 1000000
pretend kernel/keys/root_maxbytes 25000000

# The node's own network. Nothing leads out of it but the wire of the tests' customer (cluster.py).
ip link set lo up
ip link add node0 type bridge
ip addr add $node/24 dev node0
ip link set node0 up
ip route add default via 10.99.0.254 dev node0 src $node
sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1
mkdir -p "$run/cni" "$run/conf"
cat >"$run/cni/10-bridge.conflist" <<C
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
 {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}]}
C
cat >"$run/conf/containerd.toml" <<C
version = 3
root = "$run/containerd"
state = "/run/containerd"
[grpc]
  address = "$socket"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "local.test/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "$run/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "/usr/sbin/runc"
      SystemdCgroup = false
C
cat >"$run/conf/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$socket
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $pki/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet-server.crt
tlsPrivateKeyFile: $pki/kubelet-server.key
clusterDomain: cluster.local
clusterDNS: [$node]
resolvConf: $run/conf/resolv.conf
podLogsDir: $log/pods
volumePluginDir: $run/kubelet/volumeplugins
failSwapOn: false
imageGCHighThresholdPercent: 100
syncFrequency: 10s
configMapAndSecretChangeDetectionStrategy: Watch
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", nodefs.inodesFree: "1%", imagefs.available: "1%"}
C
echo "nameserver $node" >"$run/conf/resolv.conf"
cat >"$run/conf/kube-proxy.yaml" <<C
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $pki/kube-proxy.kubeconfig}
hostnameOverride: node1
clusterCIDR: 10.244.0.0/16
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
C
cat >"$run/conf/Corefile" <<C
.:53 {
  bind $node
  errors
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $pki/admin.kubeconfig
  }
}
C

start() { # program words...
	local name=$1
	shift
	"$name" "$@" >"$log/$name.log" 2>&1 &
}
await() { # words...: until they succeed
	for _ in $(seq 600); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.2
	done
	echo "not within two minutes: $*"
}
admin=(kubectl --kubeconfig "$pki/admin.kubeconfig")
start containerd -c "$run/conf/containerd.toml"
start etcd --data-dir "$run/etcd" --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
	--advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
start kube-apiserver --etcd-servers=http://127.0.0.1:2379 --bind-address=0.0.0.0 --secure-port=6443 --advertise-address=$node \
	--service-cluster-ip-range=10.96.0.0/16 --client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" \
	--tls-private-key-file="$pki/apiserver.key" --kubelet-client-certificate="$pki/apiserver-kubelet-client.crt" \
	--kubelet-client-key="$pki/apiserver-kubelet-client.key" --kubelet-certificate-authority="$pki/ca.crt" \
	--kubelet-preferred-address-types=InternalIP --service-account-key-file="$pki/sa.pub" \
	--service-account-signing-key-file="$pki/sa.key" --service-account-issuer=https://kubernetes.default.svc.cluster.local \
	--authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --requestheader-client-ca-file="$pki/ca.crt" \
	--requestheader-allowed-names=front-proxy-client --requestheader-username-headers=X-Remote-User \
	--requestheader-group-headers=X-Remote-Group --requestheader-extra-headers-prefix=X-Remote-Extra- \
	--proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key" \
	--enable-aggregator-routing=true --allow-privileged=true --profiling=false
await "${admin[@]}" get --raw /readyz
start kube-controller-manager --kubeconfig="$pki/controller-manager.kubeconfig" --use-service-account-credentials \
	--service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --leader-elect=false --bind-address=127.0.0.1 \
	--allocate-node-cidrs --cluster-cidr=10.244.0.0/16 --service-cluster-ip-range=10.96.0.0/16 \
	--horizontal-pod-autoscaler-sync-period=5s
start kube-scheduler --kubeconfig="$pki/scheduler.kubeconfig" --leader-elect=false --bind-address=127.0.0.1
await ctr -a $socket version
for image in "$root"/images/*.tar; do
	ctr -a $socket -n k8s.io images import --local "$image"
done
start kubelet --config="$run/conf/kubelet.yaml" --kubeconfig="$pki/kubelet.kubeconfig" --root-dir="$run/kubelet" \
	--hostname-override=node1 --node-ip=$node
start kube-proxy --config="$run/conf/kube-proxy.yaml"
start coredns -conf "$run/conf/Corefile"
# The bridge plugin enforces no NetworkPolicy: kube-router's firewall does.
await "${admin[@]}" get node node1
start kube-router --kubeconfig="$pki/admin.kubeconfig" --hostname-override=node1 --run-router=false --run-service-proxy=false \
	--run-firewall=true --service-cluster-ip-range=10.96.0.0/16 --iptables-sync-period=1m
echo started
wait
