#!/bin/bash
# build.sh DIRECTORY PROGRAM...: builds Kubernetes and what belongs to it from Go modules, into DIRECTORY/bin. What is
# there already stays. Each module gets a go.mod of its own, for their dependencies differ.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/bin"
root=$(cd "$1" && pwd)
shift
case $(go env GOVERSION 2>/dev/null) in
go1.2[6-9]* | go1.[3-9][0-9]*) ;;
*)
	echo "build.sh: Kubernetes wants Go 1.26 or later in PATH; Debian's golang-go is older" >&2
	exit 1
	;;
esac
export CGO_ENABLED=0 GOFLAGS="-buildvcs=false -trimpath"
kubernetes=v1.36.3
containerd=v2.3.7
helm=v3.22.0
helm4=v4.3.2

module() { # name version module package...: a module that requires it, in $root/modules/name
	mkdir -p "$root/modules/$1"
	cd "$root/modules/$1"
	grep -qs "^require $3 $2\$" go.mod || grep -qs "^	$3 $2\$" go.mod || {
		rm -f go.sum
		printf 'module test.invalid/%s\n\ngo 1.26.0\n\nrequire %s %s\n\n%s\n' "$1" "$3" "$2" "${replace:-}" >go.mod
		{
			printf '//go:build tools\n\npackage tools\n\nimport (\n'
			printf '\t_ "%s"\n' "${@:4}"
			printf ')\n'
		} >tools.go
		go mod tidy -e 2>tidy.log || { cat tidy.log; return 1; }
	}
}

# Kubernetes replaces its own parts by directories beside it; as modules they have versions of their own.
kubernetes_module() {
	local its program
	mkdir -p "$root/modules/kubernetes"
	cd "$root/modules/kubernetes"
	grep -qs "^require k8s.io/kubernetes $kubernetes\$" go.mod && return
	rm -f go.sum
	its=$(go mod download -json k8s.io/kubernetes@$kubernetes | python3 -c 'import json, sys; print(json.load(sys.stdin)["GoMod"])')
	{
		printf 'module test.invalid/kubernetes\n\n'
		grep -E '^go ' "$its"
		grep -E '^godebug ' "$its" || true
		sed -n '/^godebug ($/,/^)$/p' "$its"
		printf '\nrequire k8s.io/kubernetes %s\n\n' $kubernetes
		grep -oE '^\s+(k8s\.io/[a-z0-9-]+) => \./staging' "$its" |
			awk -v version="v0.${kubernetes#v1.}" '{ print "replace " $1 " => " $1 " " version }'
	} >go.mod
	{
		printf '//go:build tools\n\npackage tools\n\nimport (\n'
		for program in apiserver controller-manager proxy scheduler; do printf '\t_ "k8s.io/kubernetes/cmd/kube-%s"\n' $program; done
		printf '\t_ "k8s.io/kubernetes/cmd/kubectl"\n\t_ "k8s.io/kubernetes/cmd/kubelet"\n)\n'
	} >tools.go
	go mod tidy -e 2>tidy.log || { cat tidy.log; return 1; }
}

build() { # program package ldflags
	local began=$SECONDS
	go build -tags "no_btrfs no_devmapper no_zfs netgo osusergo" -ldflags "-s -w ${3:-}" -o "$root/bin/$1" "$2"
	echo "$1: $((SECONDS - began)) s"
}

for program; do
	[ -x "$root/bin/$program" ] && continue
	case $program in
	kube-apiserver | kube-controller-manager | kube-scheduler | kube-proxy | kubelet | kubectl)
		kubernetes_module
		version=k8s.io/component-base/version
		minor=${kubernetes#v1.}
		build "$program" k8s.io/kubernetes/cmd/"$program" "-X $version.gitVersion=$kubernetes -X $version.gitMajor=1 \
			-X $version.gitMinor=${minor%%.*} -X $version.gitTreeState=clean"
		;;
	etcd)
		module etcd v3.6.16 go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3
		build etcd go.etcd.io/etcd/server/v3
		;;
	containerd | containerd-shim-runc-v2 | ctr)
		its=github.com/containerd/containerd/v2
		module containerd $containerd $its $its/cmd/containerd $its/cmd/containerd-shim-runc-v2 $its/cmd/ctr
		build "$program" $its/cmd/"$program" "-X $its/version.Version=$containerd"
		;;
	coredns)
		mkdir -p "$root/modules/coredns"
		cp "$here"/coredns/* "$root/modules/coredns"
		cd "$root/modules/coredns"
		build coredns .
		;;
	kube-router)
		its=github.com/cloudnativelabs/kube-router/v2
		module kube-router v2.1.0 $its $its/cmd/kube-router
		build kube-router $its/cmd/kube-router
		;;
	prometheus-adapter)
		its=sigs.k8s.io/prometheus-adapter
		module prometheus-adapter v0.12.0 $its $its/cmd/adapter
		build prometheus-adapter $its/cmd/adapter
		;;
	helm)
		module helm $helm helm.sh/helm/v3 helm.sh/helm/v3/cmd/helm
		build helm helm.sh/helm/v3/cmd/helm "-X helm.sh/helm/v3/internal/version.version=$helm"
		;;
	helm4)
		module helm4 $helm4 helm.sh/helm/v4 helm.sh/helm/v4/cmd/helm
		build helm4 helm.sh/helm/v4/cmd/helm "-X helm.sh/helm/v4/internal/version.version=$helm4"
		;;
	helm-unittest)
		its=github.com/helm-unittest/helm-unittest
		replace='replace github.com/vmware-labs/yaml-jsonpath v0.3.2 => github.com/helm-unittest/yaml-jsonpath v0.4.0' # as its own go.mod
		module helm-unittest v1.0.3 $its $its/cmd/helm-unittest
		replace=
		build helm-unittest $its/cmd/helm-unittest
		;;
	kubeconform)
		its=github.com/yannh/kubeconform
		module kubeconform v0.8.0 $its $its/cmd/kubeconform
		build kubeconform $its/cmd/kubeconform
		;;
	*)
		echo "build.sh: no program $program" >&2
		exit 2
		;;
	esac
done
