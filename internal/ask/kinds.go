package ask

// kindWords are the nouns for things that labels tell apart, with the labels that
// may do so, the likeliest first.
var kindWords = widened(map[string][]string{
	"node": {"node", "instance", "nodename", "kubernetes_node"}, "worker": {"node", "instance"}, "machine": {"node", "instance"}, "host": {"host", "node", "instance"},
	"server": {"server", "server_id", "node", "instance"}, "box": {"node", "instance"},
	"pod":       {"pod", "pod_name", "kubernetes_pod_name"},
	"container": {"container", "container_name"},
	"namespace": {"namespace", "kubernetes_namespace", "exported_namespace"}, "ns": {"namespace"}, "project": {"namespace"}, "tenant": {"namespace", "tenant"},
	"cluster": {"cluster", "cluster_name"}, "region": {"cluster", "region"}, "datacenter": {"datacenter", "data_center", "dc", "cluster"},
	"service": {"service", "service_name", "destination_service_name", "app", "app_kubernetes_io_name", "application", "svc", "job"}, "svc": {"svc", "service"}, "app": {"app", "service", "container"}, "application": {"app", "service", "container"},
	"workload": {"workload", "deployment", "container", "service"}, "microservice": {"service", "service_name", "app"}, "component": {"component", "container"},
	"deployment": {"deployment"}, "deploy": {"deployment"}, "statefulset": {"statefulset"}, "sts": {"statefulset"}, "daemonset": {"daemonset"}, "ds": {"daemonset"},
	"replicaset": {"replicaset"}, "job": {"job_name", "job"}, "cronjob": {"cronjob"}, "hpa": {"horizontalpodautoscaler"}, "autoscaler": {"horizontalpodautoscaler"},
	"horizontalpodautoscaler": {"horizontalpodautoscaler"}, "pdb": {"poddisruptionbudget"}, "poddisruptionbudget": {"poddisruptionbudget"},
	"ingress": {"ingress"}, "pvc": {"persistentvolumeclaim"}, "volume": {"persistentvolumeclaim", "persistentvolume", "volume"}, "persistentvolumeclaim": {"persistentvolumeclaim"},
	"claim": {"persistentvolumeclaim"}, "pv": {"persistentvolume"}, "certificate": {"name", "secret_name"}, "cert": {"name", "secret_name"},
	"filesystem": {"mountpoint", "device"}, "mountpoint": {"mountpoint"}, "disk": {"device", "mountpoint"}, "device": {"device"}, "interface": {"device", "interface", "ifName", "ifDescr", "ifAlias", "port"},
	"queue": {"queue", "queue_name"}, "topic": {"topic"}, "group": {"consumergroup", "group"}, "consumergroup": {"consumergroup"}, "partition": {"partition"},
	"database": {"datname", "db", "database"}, "db": {"datname", "db", "database"}, "endpoint": {"handler", "path", "route", "uri", "endpoint"}, "handler": {"handler", "path"},
	"route": {"route", "handler", "path"}, "path": {"path", "handler"}, "url": {"path", "handler", "uri"}, "verb": {"verb", "method"}, "method": {"method", "verb"},
	"code": {"code", "status", "status_code"}, "status": {"status", "phase", "code"}, "severity": {"severity", "level"}, "reason": {"reason"}, "alert": {"alertname"},
	"target": {"instance"}, "port": {"port", "ifName", "ifDescr"}, "zone": {"zone", "topology_zone"}, "user": {"user", "username", "user_id"}, "resource": {"resource"}, "phase": {"phase"}, "state": {"state", "phase"},
	"term": {"q", "term", "query"}, "level": {"level", "severity", "detected_level"}, "unit": {"unit"}, "core": {"cpu"}, "cpu": {"cpu"}, "mode": {"mode"}, "instance": {"instance", "pod"},
	"process": {"pod", "instance"}, "api": {"handler", "path"}, "rule": {"rule_group", "alertname"}, "secret": {"secret_name", "secret"}, "ip": {"ip", "remote_addr", "client_ip"},
	"tablespace": {"tablespace"}, "shard": {"shard"}, "broker": {"broker"}, "uri": {"uri", "path", "handler"}, "backend": {"backend", "proxy", "envoy_cluster_name"},
	"member": {"member", "instance", "pod", "name"}, "table": {"table", "relname"}, "website": {"instance", "target"}, "site": {"instance", "target"},
})

func widened(kinds map[string][]string) map[string][]string {
	for k, ls := range kinds {
		kinds[k] = widen(ls)
	}
	return kinds
}

// labelOrder is the order in which the label of a name is chosen where the question
// does not say what it is.
var labelOrder = []string{
	"cluster", "namespace", "node", "service", "deployment", "statefulset", "daemonset", "cronjob", "job_name", "ingress", "app", "container", "pod",
	"persistentvolumeclaim", "horizontalpodautoscaler", "alertname", "severity", "instance", "queue", "topic", "consumergroup", "datname", "handler",
	"device", "mountpoint", "resource", "area", "phase", "reason", "state", "verb", "rcode", "code", "status", "name", "job", "unit",
}
