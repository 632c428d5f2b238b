// The backend of the Portent data source, which Grafana starts as gpx_portent_aiops_datasource_<os>_<arch>.
package main

import (
	"log"
	_ "time/tzdata" // "midnight" is where the asker is, and Grafana's image need not have the zones

	"github.com/grafana/grafana-plugin-sdk-go/backend/datasource"

	"github.com/portent-dev/portent/datasource-plugin/pkg/plugin"
)

func main() {
	if err := datasource.Manage(plugin.ID, plugin.NewInstance, datasource.ManageOpts{}); err != nil {
		log.Fatalln(err)
	}
}
