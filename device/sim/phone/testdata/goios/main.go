// Command goios judges a phone of software with go-ios: it pairs, reads
// values, and uses the services, and ends with status 1 where something is not
// as it must be. USBMUXD_SOCKET_ADDRESS names the muxer. On it there must be
// one phone, with an application org.example.notes that shares its documents.
package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/danielpaulus/go-ios/ios"
	"github.com/danielpaulus/go-ios/ios/afc"
	"github.com/danielpaulus/go-ios/ios/diagnostics"
	"github.com/danielpaulus/go-ios/ios/house_arrest"
	"github.com/danielpaulus/go-ios/ios/installationproxy"
	"github.com/danielpaulus/go-ios/ios/notificationproxy"
)

func main() {
	if err := judge(); err != nil {
		fmt.Println("go-ios:", err)
		os.Exit(1)
	}
	fmt.Println("go-ios: good")
}

func judge() error {
	list, err := ios.ListDevices()
	if err != nil || len(list.DeviceList) != 1 {
		return fmt.Errorf("list: %v, %w", list, err)
	}
	phone := list.DeviceList[0]
	if err := ios.Pair(phone); err != nil {
		return fmt.Errorf("pair: %w", err)
	}
	for _, step := range []func(ios.DeviceEntry) error{listen, values, media, documents, apps, gestalt, notifications} {
		if err := step(phone); err != nil {
			return err
		}
	}
	return nil
}

func listen(phone ios.DeviceEntry) error {
	next, stop, err := ios.Listen()
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer stop()
	event, err := next()
	if err != nil || event.MessageType != "Attached" || event.DeviceID != phone.DeviceID {
		return fmt.Errorf("listen: got %v, %w", event, err)
	}
	return nil
}

func values(phone ios.DeviceEntry) error {
	all, err := ios.GetValues(phone)
	if err != nil || all.Value.UniqueDeviceID != phone.Properties.SerialNumber {
		return fmt.Errorf("values: %v, %w", all, err)
	}
	version, err := ios.GetProductVersion(phone)
	if err != nil || version.String() != "18.1.0" {
		return fmt.Errorf("version: %v, %w", version, err)
	}
	return nil
}

// files writes, reads back and removes.
func files(c *afc.Client, dir string) error {
	const text = "written by another program"
	if err := c.MkDir(dir + "/new"); err != nil {
		return err
	}
	f, err := c.Open(dir+"/new/file", afc.READ_WRITE_CREATE)
	if err != nil {
		return err
	}
	if _, err := f.Write([]byte(text)); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	info, err := c.Stat(dir + "/new/file")
	if err != nil || info.Size != int64(len(text)) || info.IsDir() {
		return fmt.Errorf("stat: %v, %w", info, err)
	}
	if f, err = c.Open(dir+"/new/file", afc.READ_ONLY); err != nil {
		return err
	}
	got, err := io.ReadAll(f)
	if err != nil || string(got) != text {
		return fmt.Errorf("read: %q, %w", got, err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := c.Remove(dir + "/new"); err == nil {
		return fmt.Errorf("a folder that is not empty was removed")
	}
	if err := c.RemoveAll(dir + "/new"); err != nil {
		return err
	}
	if _, err := c.Stat(dir + "/new"); err == nil {
		return fmt.Errorf("what was removed is there")
	}
	return nil
}

func media(phone ios.DeviceEntry) error {
	c, err := afc.New(phone)
	if err != nil {
		return fmt.Errorf("media: %w", err)
	}
	defer c.Close()
	names, err := c.List("/")
	if err != nil || !slices.Contains(names, "DCIM") {
		return fmt.Errorf("media: list: %v, %w", names, err)
	}
	info, err := c.DeviceInfo()
	if err != nil || info.FreeBytes == 0 || info.Model != "iPhone14,5" {
		return fmt.Errorf("media: device info: %v, %w", info, err)
	}
	if err := files(c, "/DCIM"); err != nil {
		return fmt.Errorf("media: %w", err)
	}
	seen := 0
	err = c.WalkDir("/", func(_ string, _ afc.FileInfo, err error) error {
		seen++
		return err
	})
	if err != nil || seen < 5 {
		return fmt.Errorf("media: walk: %d names, %w", seen, err)
	}
	return nil
}

func documents(phone ios.DeviceEntry) error {
	c, err := house_arrest.New(phone, "org.example.notes")
	if err != nil {
		return fmt.Errorf("documents: %w", err)
	}
	defer c.Close()
	if err := files(c, "/Documents"); err != nil {
		return fmt.Errorf("documents: %w", err)
	}
	return nil
}

func apps(phone ios.DeviceEntry) error {
	c, err := installationproxy.New(phone)
	if err != nil {
		return fmt.Errorf("applications: %w", err)
	}
	defer c.Close()
	list, err := c.BrowseUserApps()
	if err != nil || len(list) != 2 || list[0].CFBundleIdentifier() != "org.example.notes" {
		return fmt.Errorf("applications: %v, %w", list, err)
	}
	return nil
}

func gestalt(phone ios.DeviceEntry) error {
	c, err := diagnostics.New(phone)
	if err != nil {
		return fmt.Errorf("diagnostics: %w", err)
	}
	defer c.Close()
	answer, err := c.MobileGestaltQuery([]string{"ProductType"})
	if m, ok := answer.(map[string]any); err != nil || !ok || m["Status"] != "Success" {
		return fmt.Errorf("diagnostics: %v, %w", answer, err)
	}
	return nil
}

// notifications waits for one that the phone posts once it is observed.
func notifications(phone ios.DeviceEntry) error {
	c, err := notificationproxy.New(phone)
	if err != nil {
		return fmt.Errorf("notifications: %w", err)
	}
	defer c.Close()
	if err := c.Observe("org.example.judge", time.Minute); err != nil {
		return fmt.Errorf("notifications: %w", err)
	}
	return nil
}
