// The peer of the operator in bench/scale.ts: what one would write with controller-runtime. It creates the same children for each
// tenant, watches them all, and writes the status once, when the server is ready. It compares no child with what it should be, pings
// nothing, polls nothing and writes no events, so it does less than the operator.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

// sample is what the operator wrote for one tenant; bench/lib/peer.ts writes it.
type sample struct {
	Group    string            `json:"group"`
	Version  string            `json:"version"`
	Kind     string            `json:"kind"`
	Plural   string            `json:"plural"`
	Tenant   string            `json:"tenant"`
	Children []json.RawMessage `json:"children"`
	Status   map[string]any    `json:"status"`
}

// of returns the text of a child of another tenant than the sample's.
func (s sample) of(child json.RawMessage, tenant string) string {
	return strings.ReplaceAll(string(child), `"`+s.Tenant, `"`+tenant)
}

type reconciler struct {
	client.Client
	scheme *runtime.Scheme
	decode runtime.Decoder
	kind   schema.GroupVersionKind
	sample sample
	// The children of the sample's tenant, for their types and names.
	children []client.Object
}

func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	tenant := &unstructured.Unstructured{}
	tenant.SetGroupVersionKind(r.kind)
	if err := r.Get(ctx, request.NamespacedName, tenant); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	ready := false
	for index, known := range r.children {
		live, err := r.ensure(ctx, tenant, index, known)
		if err != nil {
			return ctrl.Result{}, err
		}
		if deployment, ok := live.(*appsv1.Deployment); ok {
			ready = deployment.Status.ReadyReplicas > 0
		}
	}
	if _, reported := tenant.Object["status"]; reported || !ready {
		return ctrl.Result{}, nil
	}
	tenant = tenant.DeepCopy()
	tenant.Object["status"] = runtime.DeepCopyJSON(r.sample.Status)
	return ctrl.Result{}, r.Status().Update(ctx, tenant)
}

// ensure returns the child as the cache has it, or as it was created.
func (r *reconciler) ensure(
	ctx context.Context, tenant *unstructured.Unstructured, index int, known client.Object,
) (client.Object, error) {
	live := known.DeepCopyObject().(client.Object)
	name := tenant.GetName() + strings.TrimPrefix(known.GetName(), r.sample.Tenant)
	err := r.Get(ctx, types.NamespacedName{Namespace: tenant.GetNamespace(), Name: name}, live)
	if !apierrors.IsNotFound(err) {
		return live, err
	}
	object, _, err := r.decode.Decode([]byte(r.sample.of(r.sample.Children[index], tenant.GetName())), nil, nil)
	if err != nil {
		return nil, err
	}
	desired := object.(client.Object)
	desired.SetNamespace(tenant.GetNamespace())
	if err := controllerutil.SetControllerReference(tenant, desired, r.scheme); err != nil {
		return nil, err
	}
	// The cache may be late.
	return desired, client.IgnoreAlreadyExists(r.Create(ctx, desired))
}

func main() {
	cluster := flag.String("cluster", "", "kubeconfig of the simulated API server")
	sampleFile := flag.String("sample", "", "file with what the operator wrote for one tenant")
	workers := flag.Int("workers", 1, "tenants reconciled at the same time")
	flag.Parse()
	log.SetLogger(zap.New())
	if err := run(*cluster, *sampleFile, *workers); err != nil {
		log.Log.Error(err, "the peer has failed")
		os.Exit(1)
	}
}

func run(cluster, sampleFile string, workers int) error {
	text, err := os.ReadFile(sampleFile)
	if err != nil {
		return err
	}
	r := &reconciler{
		scheme: clientgoscheme.Scheme,
		decode: serializer.NewCodecFactory(clientgoscheme.Scheme).UniversalDeserializer(),
	}
	if err := json.Unmarshal(text, &r.sample); err != nil {
		return err
	}
	r.kind = schema.GroupVersionKind{Group: r.sample.Group, Version: r.sample.Version, Kind: r.sample.Kind}
	for _, child := range r.sample.Children {
		object, _, err := r.decode.Decode(child, nil, nil)
		if err != nil {
			return err
		}
		r.children = append(r.children, object.(client.Object))
	}
	manager, err := newManager(cluster, r)
	if err != nil {
		return err
	}
	r.Client = manager.GetClient()
	tenant := &unstructured.Unstructured{}
	tenant.SetGroupVersionKind(r.kind)
	builder := ctrl.NewControllerManagedBy(manager).For(tenant).Named("tenant").
		WithOptions(controller.Options{MaxConcurrentReconciles: workers})
	for _, owned := range []client.Object{
		&corev1.Secret{}, &corev1.ServiceAccount{}, &corev1.Service{}, &corev1.PersistentVolumeClaim{},
		&appsv1.Deployment{}, &networkingv1.NetworkPolicy{}, &policyv1.PodDisruptionBudget{},
	} {
		builder = builder.Owns(owned)
	}
	if err := builder.Complete(r); err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}

func newManager(cluster string, r *reconciler) (ctrl.Manager, error) {
	config, err := clientcmd.BuildConfigFromFlags("", cluster)
	if err != nil {
		return nil, err
	}
	// JSON is all that the simulated API server speaks. The operator has no limit of its own either.
	config.ContentType = runtime.ContentTypeJSON
	config.QPS = -1
	// It has no discovery.
	mapper := func(*rest.Config, *http.Client) (meta.RESTMapper, error) {
		known := meta.NewDefaultRESTMapper(nil)
		for kind := range r.scheme.AllKnownTypes() {
			known.Add(kind, meta.RESTScopeNamespace)
		}
		tenants := r.kind.GroupVersion().WithResource(r.sample.Plural)
		known.AddSpecific(r.kind, tenants, tenants, meta.RESTScopeNamespace)
		return known, nil
	}
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:         r.scheme,
		MapperProvider: mapper,
		Metrics:        metricsserver.Options{BindAddress: "0"},
		Cache:          cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Client:         client.Options{Cache: &client.CacheOptions{Unstructured: true}},
	})
}
